{{- define "surgewall.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "surgewall.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- $name := include "surgewall.name" . }}
{{- if contains $name .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}
{{- end }}

{{/* Labels that select pods; they never change. Takes (dict "root" $ "component" …). */}}
{{- define "surgewall.selector" -}}
app.kubernetes.io/name: {{ include "surgewall.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .fleet }}
surgewall.io/fleet: {{ . }}
{{- end }}
{{- end }}

{{- define "surgewall.labels" -}}
{{ include "surgewall.selector" . }}
app.kubernetes.io/part-of: surgewall
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Metadata of an object. Takes root, component, name, and perhaps fleet, extraLabels and annotations. */}}
{{- define "surgewall.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "surgewall.labels" . | nindent 2 }}
  {{- with .extraLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
Metadata of a pod template. Takes root, component, values, and perhaps fleet and annotations. Nothing here follows the chart's version: a
new chart that changes nothing else must not empty every cache.
*/}}
{{- define "surgewall.podMetadata" -}}
labels:
  {{- include "surgewall.selector" . | nindent 2 }}
  app.kubernetes.io/part-of: surgewall
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  kubectl.kubernetes.io/default-container: {{ .component }}
  {{- with merge (dict) (.annotations | default dict) .values.podAnnotations .root.Values.commonAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* A fleet's values: the defaults of all fleets with its own on top. Takes root and fleet. */}}
{{- define "surgewall.fleetValues" -}}
{{- mergeOverwrite (deepCopy .root.Values.fleetDefaults) (deepCopy (index .root.Values.fleets .fleet)) | toYaml }}
{{- end }}

{{/* Names of the fleets, sorted, as a JSON list. */}}
{{- define "surgewall.fleets" -}}
{{- $names := list }}
{{- range $name, $fleet := .Values.fleets }}
{{- if not (kindIs "invalid" $fleet) }}
{{- if has $name (list "shield" "controller" "content" "rabbitmq") }}
{{- fail (printf "fleets.%s: a fleet may not be called shield, controller, content or rabbitmq: these names are taken" $name) }}
{{- end }}
{{- $names = append $names $name }}
{{- end }}
{{- end }}
{{- sortAlpha $names | toJson }}
{{- end }}

{{- define "surgewall.image" -}}
{{- $tag := .image.tag | default .root.Chart.AppVersion }}
{{- $at := ternary (printf "@%s" .image.digest) (printf ":%s" $tag) (not (empty .image.digest)) }}
{{- with .image.registry }}{{ . }}/{{ end }}{{ .image.repository }}{{ $at }}
{{- end }}

{{- define "surgewall.serviceHost" -}}
{{ .name }}.{{ .root.Release.Namespace }}.svc.{{ .root.Values.clusterDomain }}
{{- end }}

{{/* The restricted profile of the Pod Security Standards, for a pod and for a container. */}}
{{- define "surgewall.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "surgewall.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where pods run. Takes root, component, values and perhaps fleet; rolling for what has a pod-template-hash; apart
for what never shares a node with its like while another node may take it. */}}
{{- define "surgewall.scheduling" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
{{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
{{- else }}
  # Nodes only: one soft constraint over a label that nodes lack, as zones in a small cluster, turns off all of them.
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    {{- if .apart }}
    # A lost node must not take the standby along; a node that is tainted, as one that is gone, counts for none.
    whenUnsatisfiable: DoNotSchedule
    nodeTaintsPolicy: Honor
    {{- else }}
    whenUnsatisfiable: ScheduleAnyway
    {{- end }}
    labelSelector:
      matchLabels:
        {{- include "surgewall.selector" . | nindent 8 }}
    {{- if .rolling }}
    matchLabelKeys: [pod-template-hash]
    {{- end }}
{{- end }}
# Full names have four dots: with the usual five, each would first be tried with every search domain.
dnsConfig:
  options:
    - name: ndots
      value: "2"
{{- end }}

{{/* Ready is asked every second: an edge takes load as soon as it can. */}}
{{- define "surgewall.probes" -}}
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 1
  timeoutSeconds: 1
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /livez, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end }}

{{/* Nine tenths of a memory limit in Mi or Gi, for Go's collector. Takes a limit. */}}
{{- define "surgewall.goMemoryLimit" -}}
{{- if regexMatch "^[0-9]+(Mi|Gi)$" . }}
{{- $mebibytes := regexFind "^[0-9]+" . | int }}
{{- if hasSuffix "Gi" . }}
{{- $mebibytes = mul $mebibytes 1024 }}
{{- end }}
{{- div (mul $mebibytes 9) 10 }}MiB
{{- end }}
{{- end }}

{{/* Environment that all our containers have. Takes root, component, values and user. */}}
{{- define "surgewall.env" -}}
- name: SURGEWALL_{{ ternary "REPLICA" "POD" (eq .component "controller") }}
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- if eq .component "controller" }}
{{- with include "surgewall.goMemoryLimit" (dig "limits" "memory" "" .values.resources | toString) }}
# Left alone, the collector lets the heap grow to twice what lives. Edges and shields see to that themselves: they know what of the limit is
# for stored responses, which are not on the heap.
- {name: GOMEMLIMIT, value: {{ . }}}
{{- end }}
{{- end }}
{{- with include "surgewall.brokerEnv" . }}
{{ . }}
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The controllers hand out content updates to who cannot reach the broker. Takes root. */}}
{{- define "surgewall.contentSource" -}}
http://{{ include "surgewall.serviceHost" (dict "root" .root "name" (printf "%s-controller" (include "surgewall.fullname" .root))) }}:{{ .root.Values.controller.service.port }}
{{- end }}

{{- define "surgewall.logArgs" -}}
- --admin-listen=:9090
- --log-level={{ .Values.log.level }}
- --log-format={{ .Values.log.format }}
{{- with .Values.tracing.endpoint }}
- --otlp-endpoint={{ . }}
{{- end }}
{{- end }}

{{/* "true" for what holds content and may be told to purge it. Takes root and component. */}}
{{- define "surgewall.purges" -}}
{{- and (ne .component "controller") (not (empty .root.Values.purge.existingSecret)) }}
{{- end }}

{{- define "surgewall.purgeArgs" -}}
{{- if eq (include "surgewall.purges" .) "true" }}
- --purge-token-file=/etc/surgewall/purge/token
{{- end }}
{{- end }}

{{/* "true" for what edges and shields know each other by. Takes root and component. */}}
{{- define "surgewall.knowsEdges" -}}
{{- and (ne .component "controller") .root.Values.edgeAuth.enabled }}
{{- end }}

{{/* The Secret with the keys. Takes root. */}}
{{- define "surgewall.edgeAuthSecret" -}}
{{- .root.Values.edgeAuth.existingSecret | default (printf "%s-edge-auth" (include "surgewall.fullname" .root)) }}
{{- end }}

{{- define "surgewall.contentSecret" -}}
{{- $tokens := .root.Values.controller.contentTokens }}
{{- $tokens.existingSecret | default (ternary (printf "%s-content" (include "surgewall.fullname" .root)) "" $tokens.create) }}
{{- end }}

{{- define "surgewall.edgeAuthArgs" -}}
{{- if eq (include "surgewall.knowsEdges" .) "true" }}
- --edge-auth-key-file=/etc/surgewall/edge-auth/keys
{{- if eq .component "shield" }}
- --edge-auth={{ ternary "require" "prefer" .root.Values.edgeAuth.required }}
- --edge-auth-skew={{ .root.Values.edgeAuth.skew }}
{{- end }}
{{- end }}
{{- end }}
