{{/* The operator's settings: one variable a value, as `bartizan operator --help` lists them. */}}
{{- define "bartizan.environment" -}}
- name: BARTIZAN_NAMESPACE
  valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}
- name: BARTIZAN_POD_LABELS
  value: {{ include "bartizan.labelList" (include "bartizan.selectorLabels" . | fromYaml) | quote }}
- name: BARTIZAN_GUARD_IMAGE
  value: {{ .Values.guard.image | default (include "bartizan.image" .) | quote }}
- name: BARTIZAN_GUARD_PULL_POLICY
  value: {{ .Values.image.pullPolicy | quote }}
- name: BARTIZAN_GUARD_ROLLOUT
  value: {{ .Values.guardRollout.policy | quote }}
- name: BARTIZAN_GUARD_ROLLOUT_INTERVAL_SECONDS
  value: {{ .Values.guardRollout.intervalSeconds | int64 | quote }}
- name: BARTIZAN_NAMESPACES
  value: {{ join "," .Values.namespaces | quote }}
- name: BARTIZAN_WATCH_SECRETS
  value: {{ not (empty .Values.namespaces) | quote }}
- name: BARTIZAN_ROOT_SECRET
  value: bartizan-root
- name: BARTIZAN_MONITORING_NAMESPACE
  value: {{ .Values.monitoring.namespace | quote }}
- name: BARTIZAN_MONITORING_POD_LABELS
  value: {{ include "bartizan.labelList" .Values.monitoring.podLabels | quote }}
- name: BARTIZAN_DNS_NAMESPACE
  value: {{ .Values.dns.namespace | quote }}
- name: BARTIZAN_DNS_POD_LABELS
  value: {{ include "bartizan.labelList" .Values.dns.podLabels | quote }}
- name: BARTIZAN_ISSUERS
  value: {{ toJson .Values.issuers | quote }}
- name: BARTIZAN_STORES
  value: {{ include "bartizan.stores" .Values.stores | quote }}
- name: BARTIZAN_STORE_CREDENTIALS
  value: /run/bartizan/stores
- name: BARTIZAN_RESYNC_SECONDS
  value: {{ .Values.resyncSeconds | int64 | quote }}
- name: BARTIZAN_LOOK_SECONDS
  value: "15"
- name: BARTIZAN_WORKERS
  value: {{ .Values.workers | int64 | quote }}
- name: BARTIZAN_LOG_FORMAT
  value: {{ .Values.log.format | quote }}
- name: BARTIZAN_LOG_LEVEL
  value: {{ .Values.log.level | quote }}
- name: BARTIZAN_HEALTH_PORT
  value: "8080"
- name: BARTIZAN_METRICS_PORT
  value: "9090"
{{- end }}

{{/* The stores as JSON, without the names of their credentials' Secrets, which the operator reads as files. */}}
{{- define "bartizan.stores" -}}
{{- $found := list -}}
{{- range . }}{{ $found = append $found (omit . "credentialSecret") }}{{ end -}}
{{ toJson $found }}
{{- end }}

{{/* A map of labels as "a=b,c=d". */}}
{{- define "bartizan.labelList" -}}
{{- $pairs := list -}}
{{- range $key, $value := . }}{{ $pairs = append $pairs (printf "%s=%s" $key $value) }}{{ end -}}
{{ join "," $pairs }}
{{- end }}
