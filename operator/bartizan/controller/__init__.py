"""Makes it so: watches ModelDeployments and brings the cluster to what the policy says."""
