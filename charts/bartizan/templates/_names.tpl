{{/*
Names are fixed, whatever the release is called: a cluster has one Bartizan (its CRD is one), a second install fails on
its cluster-wide objects with Helm's own message, and every command in the documentation holds as it stands.
*/}}
{{- define "bartizan.name" -}}bartizan-operator{{- end }}

{{- define "bartizan.selectorLabels" -}}
app.kubernetes.io/name: bartizan
app.kubernetes.io/component: operator
{{- end }}

{{- define "bartizan.labels" -}}
{{ include "bartizan.selectorLabels" . }}
app.kubernetes.io/part-of: bartizan
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "bartizan.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end -}}
{{- end }}

{{/* The account as the API server names it: what the fence binds. */}}
{{- define "bartizan.username" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "bartizan.name" . }}
{{- end }}
