{{/* Name of every object: the release, with the chart's name where the release does not tell it. */}}
{{- define "streaming-operator.name" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) -}}{{- $name = printf "%s-%s" $name .Chart.Name -}}{{- end -}}
{{- $name | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "streaming-operator.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The operator's children carry managed-by: streaming-operator; its own objects do not, since it watches by that label. */}}
{{- define "streaming-operator.labels" -}}
{{ include "streaming-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The same with labels of one object, given as (list $ LABELS): those win over commonLabels, and no key stands twice. */}}
{{- define "streaming-operator.labels-and" -}}
{{- $labels := include "streaming-operator.labels" (index . 0) | fromYaml -}}
{{- merge (dict) (index . 1 | default dict) $labels | toYaml -}}
{{- end }}

{{/* Whether the operator may have rights that lie in no namespace; empty is no. */}}
{{- define "streaming-operator.cluster-roles" -}}
{{- if or (not .Values.watchNamespaces) .Values.rbac.clusterRoles }}true{{ end }}
{{- end }}

{{/* The operator's image; `image.registry` stands before the repository, `image.digest` in place of the tag. */}}
{{- define "streaming-operator.image" -}}
{{- with .Values.image.registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}
{{- with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}
