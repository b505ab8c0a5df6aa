{{/* The Secret with the certificate of a broker user; empty for one with a password. Takes root and user. */}}
{{- define "surgewall.brokerCertificate" -}}
{{- if eq .root.Values.broker.mode "external" }}
{{- $entry := index .root.Values.broker.external.users .user | default dict }}
{{- if and $entry.certificateSecret (not .root.Values.broker.external.caSecret) }}
{{- fail (printf "broker.external.users.%s.certificateSecret: a certificate needs TLS; name broker.external.caSecret too" .user) }}
{{- end }}
{{- $entry.certificateSecret | default "" }}
{{- end }}
{{- end }}

{{/* The Secret of a broker user, which has the keys username and password. Takes root and user. */}}
{{- define "surgewall.brokerSecret" -}}
{{- if eq .root.Values.broker.mode "bundled" }}
{{- include "surgewall.fullname" .root }}-amqp-{{ .user }}
{{- else }}
{{- $entry := index .root.Values.broker.external.users .user | default dict }}
{{- required (printf "broker.external.users.%s.existingSecret: name the Secret with the keys username and password of the broker user %s, or certificateSecret" .user .user) $entry.existingSecret }}
{{- end }}
{{- end }}

{{- define "surgewall.brokerArgs" -}}
{{- $external := .root.Values.broker.external }}
{{- if eq .root.Values.broker.mode "bundled" }}
- --amqp-host={{ include "surgewall.serviceHost" (dict "root" .root "name" (printf "%s-rabbitmq" (include "surgewall.fullname" .root))) }}
- --amqp-vhost=surgewall
{{- else }}
- --amqp-host={{ required "broker.external.host: name the host of the broker, or set broker.mode to bundled" $external.host }}
- --amqp-port={{ $external.port }}
- --amqp-vhost={{ $external.vhost }}
{{- if $external.caSecret }}
- --amqp-ca-file=/etc/surgewall/amqp-ca/ca.crt
{{- end }}
{{- end }}
{{- if include "surgewall.brokerCertificate" . }}
- --amqp-username={{ .user }}
- --amqp-cert-file=/etc/surgewall/amqp/tls.crt
- --amqp-key-file=/etc/surgewall/amqp/tls.key
{{- else }}
- --amqp-password-file=/etc/surgewall/amqp/password
{{- end }}
{{- end }}

{{- define "surgewall.brokerEnv" -}}
{{- if not (include "surgewall.brokerCertificate" .) -}}
- name: SURGEWALL_AMQP_USERNAME
  valueFrom: {secretKeyRef: {name: {{ include "surgewall.brokerSecret" . }}, key: username}}
{{- end }}
{{- end }}

{{/* The password, or the certificate, is a file that is read again on each connection: a new one needs no restart, and no dump of the environment shows it. */}}
{{- define "surgewall.volumeMounts" -}}
- name: amqp
  mountPath: /etc/surgewall/amqp
  readOnly: true
{{- if and (eq .root.Values.broker.mode "external") .root.Values.broker.external.caSecret }}
- name: amqp-ca
  mountPath: /etc/surgewall/amqp-ca
  readOnly: true
{{- end }}
{{- if eq (include "surgewall.knowsEdges" .) "true" }}
- name: edge-auth
  mountPath: /etc/surgewall/edge-auth
  readOnly: true
{{- end }}
{{- if eq (include "surgewall.purges" .) "true" }}
- name: purge
  mountPath: /etc/surgewall/purge
  readOnly: true
{{- end }}
{{- with .values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "surgewall.volumes" -}}
- name: amqp
  secret:
    {{- with include "surgewall.brokerCertificate" . }}
    secretName: {{ . }}
    defaultMode: 0440
    items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]
    {{- else }}
    secretName: {{ include "surgewall.brokerSecret" . }}
    defaultMode: 0440
    items: [{key: password, path: password}]
    {{- end }}
{{- if and (eq .root.Values.broker.mode "external") .root.Values.broker.external.caSecret }}
- name: amqp-ca
  secret:
    secretName: {{ .root.Values.broker.external.caSecret }}
    defaultMode: 0440
{{- end }}
{{- if eq (include "surgewall.knowsEdges" .) "true" }}
- name: edge-auth
  secret:
    secretName: {{ include "surgewall.edgeAuthSecret" . }}
    defaultMode: 0440
    items: [{key: {{ .root.Values.edgeAuth.key | quote }}, path: keys}]
{{- end }}
{{- if eq (include "surgewall.purges" .) "true" }}
- name: purge
  secret:
    secretName: {{ .root.Values.purge.existingSecret }}
    defaultMode: 0440
    items: [{key: {{ .root.Values.purge.key | quote }}, path: token}]
{{- end }}
{{- with .values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
The broker's definitions without passwords, as JSON: those of config/rabbitmq with the permissions of the user `edge` given to the user of
each fleet.
*/}}
{{- define "surgewall.definitions" -}}
{{- $definitions := .Files.Get "files/definitions.json" | fromJson }}
{{- $fleets := include "surgewall.fleets" . | fromJsonArray }}
{{- range $key := list "users" "permissions" "topic_permissions" }}
{{- $field := ternary "name" "user" (eq $key "users") }}
{{- $entries := list }}
{{- range $entry := index $definitions $key }}
{{- if eq (index $entry $field) "edge" }}
{{- range $fleet := $fleets }}
{{- $entries = append $entries (set (deepCopy $entry) $field $fleet) }}
{{- end }}
{{- else }}
{{- $entries = append $entries $entry }}
{{- end }}
{{- end }}
{{- $_ := set $definitions $key $entries }}
{{- end }}
{{- $definitions | toJson }}
{{- end }}

{{- define "surgewall.brokerConfig" -}}
load_definitions = /etc/surgewall/definitions/definitions.json
log.console = true
log.console.level = info
heartbeat = 5
vm_memory_high_watermark.absolute = {{ .memoryHighWatermark }}
disk_free_limit.absolute = {{ .diskFreeLimit }}
{{- with .extraConfig }}
{{ . }}
{{- end }}
{{- end }}
