{{/*
What the operator may do with the objects that an endpoint owns. Takes `watchSecrets`: only a namespace's own Role lets
it read Secrets back; cluster-wide they are outputs that are written blind.
Whatever stands here is also held by the fence (fence.yaml), and by the table in tests/unit/chart/rights.yaml.
*/}}
{{- define "bartizan.ownedRules" -}}
- apiGroups: [apps]
  resources: [controllerrevisions, deployments]
  verbs: [create, delete, get, list, update, watch]
- apiGroups: [""]
  resources: [serviceaccounts, services]
  verbs: [create, delete, get, list, update, watch]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [create, delete, get, list, update, watch]
# `patch` releases the finalizer that keeps a policy until the last pod has gone.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [create, delete, get, list, patch, update, watch]
- apiGroups: [""]
  resources: [secrets]
  {{- if .watchSecrets }}
  verbs: [create, delete, list, patch, watch]
  {{- else }}
  verbs: [create, delete, patch]
  {{- end }}
# The document's touch annotation goes on the pods; nothing else on them may change (fence.yaml).
- apiGroups: [""]
  resources: [pods]
  verbs: [list, patch, watch]
# Why they cannot make pods is copied into Ready's message; orphaned ones go with their endpoint.
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [delete, list]
{{- end }}
