{{- define "remediate.labels" -}}
app.kubernetes.io/name: remediate
{{ include "remediate.chart" . }}
{{- end }}

{{- define "remediate.probe.labels" -}}
app.kubernetes.io/name: remediate-probe
{{ include "remediate.chart" . }}
{{- end }}

{{- define "remediate.chart" -}}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "remediate.image" -}}
{{- $tag := .image.tag | default .root.Chart.AppVersion -}}
{{ .image.repository }}{{ if .image.digest }}@{{ .image.digest }}{{ else }}:{{ $tag }}{{ end }}
{{- end }}

{{- define "remediate.subject" -}}
- kind: ServiceAccount
  name: remediate
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- /* A Role and its binding to the controller: name, namespace, rules, root. */}}
{{- define "remediate.role" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "remediate.labels" .root | nindent 4 }}
rules:
  {{- toYaml .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}
  namespace: {{ .namespace }}
  labels:
    {{- include "remediate.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ .name }}
subjects:
  {{- include "remediate.subject" .root | nindent 2 }}
{{- end }}
