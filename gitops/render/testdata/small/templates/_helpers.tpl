{{- define "small.name" -}}{{ .Values.name }}{{- end -}}
