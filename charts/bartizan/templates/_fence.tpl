{{/*
The head of a policy of the fence. Takes `root`, `kind` (the end of its name), `group` and `resources`.
It matches the operator's own account and nobody else; that condition holds no word of any tenant's.
*/}}
{{- define "bartizan.fenceHead" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ include "bartizan.name" .root }}-fence-{{ .kind }}
  labels: {{- include "bartizan.labels" .root | nindent 4 }}
spec:
  failurePolicy: Fail
  matchConstraints:
    matchPolicy: Equivalent
    resourceRules:
      - apiGroups: [{{ .group | quote }}]
        apiVersions: ["*"]
        operations: [CREATE, UPDATE, DELETE]
        resources: [{{ join ", " .resources }}]
  matchConditions:
    - name: operator-account
      expression: request.userInfo.username == '{{ include "bartizan.username" .root }}'
{{- end }}

{{/* CEL: the namespaces in which nothing of an endpoint's may live. */}}
{{- define "bartizan.fenceClosedNamespaces" -}}
['kube-system', 'kube-public', 'kube-node-lease', '{{ .Release.Namespace }}']
{{- end }}

{{/*
Whose an object is. `isLabelled`: the new one carries our labels. `wasOurs`: the old one carries any mark of ours; a tenant
who strips one mark must not thereby stop the operator from repairing the object. Without any mark it is somebody else's.
*/}}
{{- define "bartizan.fenceMarks" -}}
- name: what
  expression: "'bartizan fence: ' + request.resource.resource + ' ' + request.namespace + '/' + request.name + ': '"
- name: isLabelled
  expression: >-
    object != null && object.metadata.?labels['app.kubernetes.io/managed-by'].orValue('') == 'bartizan'
    && object.metadata.?labels['bartizan.dev/endpoint'].orValue('') != ''
- name: wasOurs
  expression: >-
    oldObject != null && (
    oldObject.metadata.?labels['app.kubernetes.io/managed-by'].orValue('') == 'bartizan'
    || oldObject.metadata.?labels['bartizan.dev/endpoint'].hasValue()
    || oldObject.metadata.?labels['bartizan.dev/endpoint-uid'].hasValue()
    || oldObject.metadata.?finalizers.orValue([]).exists(name, name == 'bartizan.dev/gate')
    || oldObject.metadata.?ownerReferences.orValue([]).exists(owner,
    owner.kind == 'ModelDeployment' && owner.apiVersion.startsWith('bartizan.dev/')))
{{- end }}

{{/*
What holds for every kind that an endpoint owns. Takes `root`, and as CEL `unless`, what is exempt from all of it, and
`unlessLabelled`, what need not carry our labels afterwards.
*/}}
{{- define "bartizan.fenceOwned" -}}
- expression: >-
    {{ with .unless }}{{ . }} || {{ end }}!(request.namespace in {{ include "bartizan.fenceClosedNamespaces" .root }})
  messageExpression: >-
    variables.what + 'the operator owns nothing in the control plane\'s namespaces or in its own (but bartizan-root, which it '
    + 'creates once); move the endpoint to another namespace'
- expression: >-
    {{ with .unless }}{{ . }} || {{ end }}request.operation == 'CREATE' || variables.wasOurs
  messageExpression: >-
    variables.what + 'the operator did not make this object, so it may neither change nor delete it; '
    + 'rename the endpoint, or delete the object'
- expression: >-
    {{ with .unless }}{{ . }} || {{ end }}{{ with .unlessLabelled }}{{ . }} || {{ end }}request.operation == 'DELETE' || variables.isLabelled
  messageExpression: >-
    variables.what + 'what the operator writes carries the labels app.kubernetes.io/managed-by=bartizan and '
    + 'bartizan.dev/endpoint, and this does not'
{{- end }}

{{/*
CEL: whether a Deployment's pods run as the endpoint's own account without a token, and cannot reach their node. `.` names the object.
An allow-list of volumes: a projected one without tokens, and the kinds that bring nothing of the node's.
*/}}
{{- define "bartizan.fenceSafePods" -}}
{{ . }}.spec.template.spec.?serviceAccountName.orValue('') == {{ . }}.metadata.?labels['bartizan.dev/endpoint'].orValue('')
&& {{ . }}.spec.template.spec.?automountServiceAccountToken.orValue(true) == false
&& !{{ . }}.spec.template.spec.?hostNetwork.orValue(false)
&& !{{ . }}.spec.template.spec.?hostPID.orValue(false)
&& !{{ . }}.spec.template.spec.?hostIPC.orValue(false)
&& {{ . }}.spec.template.spec.?nodeName.orValue('') == ''
&& !{{ . }}.spec.template.spec.?securityContext.windowsOptions.hostProcess.orValue(false)
&& {{ . }}.spec.template.spec.?volumes.orValue([]).all(volume,
has(volume.emptyDir) || has(volume.configMap) || has(volume.secret) || has(volume.persistentVolumeClaim)
|| has(volume.downwardAPI) || has(volume.ephemeral)
|| (has(volume.projected) && volume.projected.?sources.orValue([]).all(source,
has(source.configMap) || has(source.secret) || has(source.downwardAPI))))
&& ({{ . }}.spec.template.spec.containers + {{ . }}.spec.template.spec.?initContainers.orValue([])).all(container,
!container.?securityContext.privileged.orValue(false)
&& !container.?securityContext.windowsOptions.hostProcess.orValue(false)
&& container.?securityContext.procMount.orValue('Default') == 'Default'
&& container.?securityContext.capabilities.add.orValue([]).all(capability, capability in variables.harmlessCapabilities)
&& container.?ports.orValue([]).all(port, port.?hostPort.orValue(0) == 0))
{{- end }}

{{/* CEL: whether a Service opens nothing beyond the cluster. */}}
{{- define "bartizan.fenceSafeService" -}}
{{ . }}.spec.?type.orValue('ClusterIP') == 'ClusterIP' && {{ . }}.spec.?externalIPs.orValue([]).size() == 0
&& {{ . }}.spec.?selector['bartizan.dev/endpoint'].orValue('') == {{ . }}.metadata.?labels['bartizan.dev/endpoint'].orValue('')
{{- end }}

{{/* CEL: whether a selector, `selector` of `object`, chooses pods of the object's own endpoint and no others. */}}
{{- define "bartizan.fenceOwnPods" -}}
{{ .object }}.spec.?{{ .selector }}.matchLabels['bartizan.dev/endpoint'].orValue('')
== {{ .object }}.metadata.?labels['bartizan.dev/endpoint'].orValue('no endpoint')
{{- end }}

{{/* CEL: whether a ServiceAccount is an endpoint's own and can carry no right into a pod by itself. */}}
{{- define "bartizan.fenceSafeAccount" -}}
{{ . }}.metadata.name == {{ . }}.metadata.?labels['bartizan.dev/endpoint'].orValue('')
&& {{ . }}.?automountServiceAccountToken.orValue(true) == false
{{- end }}

{{/* CEL: whether a Secret is named after its own endpoint, and found by no selector but the operator's. */}}
{{- define "bartizan.fenceSafeSecret" -}}
{{ . }}.metadata.name.startsWith({{ . }}.metadata.?labels['bartizan.dev/endpoint'].orValue('no endpoint') + '.')
&& {{ . }}.metadata.?labels.orValue({}).all(label, label in variables.labels)
{{- end }}

{{/* CEL: what a model's container may add to its capabilities: the template's allow-list. */}}
{{- define "bartizan.fenceHarmlessCapabilities" -}}
['NET_BIND_SERVICE', 'AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'IPC_LOCK', 'KILL', 'SETGID', 'SETUID']
{{- end }}
