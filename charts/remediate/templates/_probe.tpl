{{- define "remediate.probe.key" -}}
apiVersion: v1
kind: Secret
metadata:
  name: remediate-probe-key
  namespace: {{ .namespace }}
  labels:
    {{- include "remediate.probe.labels" .root | nindent 4 }}
type: Opaque
data:
  key: {{ .key }}
{{- end }}

{{- define "remediate.probe.daemonset" -}}
{{- $probe := .root.Values.probe -}}
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: {{ .set.name }}
  namespace: {{ .set.namespace }}
  labels:
    {{- include "remediate.probe.labels" .root | nindent 4 }}
    remediate.dev/target: {{ .set.target }}
spec:
  selector:
    matchLabels:
      app.kubernetes.io/name: remediate-probe
      remediate.dev/target: {{ .set.target }}
  updateStrategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 10%
  template:
    metadata:
      labels:
        app.kubernetes.io/name: remediate-probe
        app.kubernetes.io/managed-by: {{ .root.Release.Service }}
        remediate.dev/target: {{ .set.target }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      dnsPolicy: Default
      {{- if eq .set.target "host" }}
      hostNetwork: true
      {{- end }}
      {{- with $probe.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $probe.image.pullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      nodeSelector:
        kubernetes.io/os: linux
      tolerations:
        - operator: Exists
      terminationGracePeriodSeconds: 2
      securityContext:
        fsGroup: 65532
        runAsGroup: 65532
        runAsNonRoot: true
        runAsUser: 65532
        seccompProfile:
          type: RuntimeDefault
        {{- if ne .set.target "host" }}
        sysctls:
          - name: net.ipv4.ping_group_range
            value: 65532 65532
        {{- end }}
      containers:
        - name: probe
          image: {{ include "remediate.image" (dict "image" $probe.image "root" .root) }}
          {{- with $probe.image.pullPolicy }}
          imagePullPolicy: {{ . }}
          {{- end }}
          args:
            - --target={{ .set.target }}
            - --members=/etc/remediate-probe/members
            - --key=/etc/remediate-probe/key/key
          env:
            {{- range $name, $path := dict "NODE_NAME" "spec.nodeName" "POD_NAME" "metadata.name" "POD_NAMESPACE" "metadata.namespace" "POD_IPS" "status.podIPs" }}
            - name: {{ $name }}
              valueFrom:
                fieldRef:
                  fieldPath: {{ $path }}
            {{- end }}
          ports:
            - {name: tcp, containerPort: 9971, protocol: TCP}
            - {name: udp, containerPort: 9971, protocol: UDP}
            - {name: http, containerPort: 9972, protocol: TCP}
            {{- if eq .set.target "guarded" }}
            - {name: backend-tcp, containerPort: 9973, protocol: TCP}
            - {name: backend-udp, containerPort: 9973, protocol: UDP}
            - {name: backend-http, containerPort: 9974, protocol: TCP}
            {{- end }}
          resources:
            {{- toYaml $probe.resources | nindent 12 }}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          volumeMounts:
            - {name: members, mountPath: /etc/remediate-probe/members, readOnly: true}
            - {name: key, mountPath: /etc/remediate-probe/key, readOnly: true}
      volumes:
        - name: members
          projected:
            sources:
              {{- range list "" "-1" "-2" "-3" }}
              - configMap:
                  name: remediate-probe-members{{ . }}
                  optional: true
              {{- end }}
        - name: key
          secret:
            secretName: remediate-probe-key
            defaultMode: 288
{{- end }}
