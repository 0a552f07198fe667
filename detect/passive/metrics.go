// Package passive reads what a cluster's Cilium says of itself without any probe:
// the metrics of its agents and the flows that Hubble saw.
package passive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// maxMetrics is the most bytes of one agent's metrics: an agent of a node with 250
// pods writes less than 1 MiB.
const maxMetrics = 8 << 20

// metricsPort is the agent's default (install/kubernetes/cilium/values.yaml,
// prometheus.port, 1.18.6).
const metricsPort = 9962

// Metrics asks agents for their metrics by way of the API server's pod proxy: agents
// are on the host network, so the pod network takes no part. What could not be
// asked is said, one sentence each; most clusters have the metrics off.
func Metrics(ctx context.Context, api rest.Interface, agents []*corev1.Pod) (read []snapshot.AgentMetrics, unread []string) {
	for _, pod := range agents {
		body, err := proxied(ctx, api, pod)
		if err == nil {
			var m snapshot.AgentMetrics
			if m, err = parseMetrics(body); err == nil {
				m.Node, m.Source = pod.Spec.NodeName, Source(pod.Namespace, pod.Name)
				read = append(read, m)
				continue
			}
		}
		unread = append(unread, fmt.Sprintf("metrics of %s/%s on %s: %s", pod.Namespace, pod.Name, pod.Spec.NodeName, why(err)))
		if apierrors.IsForbidden(err) {
			break // nor may we ask the others
		}
	}
	return read, unread
}

// Source names the metrics of one agent's pod.
func Source(namespace, pod string) string { return "metrics of " + namespace + "/" + pod }

func why(err error) string {
	switch {
	case apierrors.IsForbidden(err):
		return "not allowed to get pods/proxy"
	case apierrors.IsServiceUnavailable(err):
		return "no answer on its metrics port (the chart's value prometheus.enabled is off by default)"
	}
	return err.Error()
}

func proxied(ctx context.Context, api rest.Interface, pod *corev1.Pod) ([]byte, error) {
	stream, err := api.Get().Namespace(pod.Namespace).Resource("pods").
		Name(fmt.Sprintf("%s:%d", pod.Name, portOf(pod))).SubResource("proxy").Suffix("metrics").Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	body, err := io.ReadAll(io.LimitReader(stream, maxMetrics+1))
	if err == nil && len(body) > maxMetrics {
		err = fmt.Errorf("more than %d MiB", maxMetrics>>20)
	}
	return body, err
}

// portOf is the port that the agent's container names prometheus.
func portOf(pod *corev1.Pod) int32 {
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			if p.Name == "prometheus" && p.ContainerPort > 0 {
				return p.ContainerPort
			}
		}
	}
	return metricsPort
}

// parseMetrics keeps what tells causes apart (pkg/maps/metricsmap/metricsmap.go:170-186,
// pkg/metrics/metrics.go:1237-1261, pkg/driftchecker, 1.18.6).
func parseMetrics(text []byte) (snapshot.AgentMetrics, error) {
	m := snapshot.AgentMetrics{Drops: map[snapshot.Drop]float64{}}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return m, fmt.Errorf("the answer is not in Prometheus' text format: %w", err)
	}
	if families["cilium_version"] == nil && families["cilium_drop_count_total"] == nil && families["cilium_forward_count_total"] == nil {
		return m, errors.New("the answer has none of the agent's metrics")
	}
	each(families["cilium_drop_count_total"], func(labels map[string]string, v float64) {
		if len(m.Drops) < maxDrops {
			m.Drops[snapshot.Drop{Reason: clean(labels["reason"]), Direction: strings.ToLower(clean(labels["direction"]))}] += v
		}
	})
	each(families["cilium_drift_checker_config_delta"], func(_ map[string]string, v float64) {
		m.Drift = snapshot.Known(int(v), "cilium_drift_checker_config_delta")
	})
	each(families["cilium_node_health_connectivity_status"], func(labels map[string]string, v float64) {
		h := &m.NodeHealth
		if labels["type"] == "endpoint" {
			h = &m.EndpointHealth
		}
		switch labels["status"] {
		case "reachable":
			h.Reachable += int(v)
		case "unreachable":
			h.Unreachable += int(v)
		}
	})
	return m, nil
}

// maxDrops is the most reasons that are kept; Cilium knows about a hundred.
const maxDrops = 300

func each(family *dto.MetricFamily, do func(labels map[string]string, value float64)) {
	for _, metric := range family.GetMetric() {
		labels := map[string]string{}
		for _, l := range metric.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		v := metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetUntyped().GetValue() // one of them is there
		if v >= 0 && v < 1<<53 {
			do(labels, v)
		}
	}
}

// clean keeps what a reason is made of; the text is an agent's, and agents can be
// replaced.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x2000 {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), 80)]
}

// Rising is what was dropped between two readings of the same agents, most first:
// a counter alone says only that something was dropped at some time.
func Rising(before, after []snapshot.AgentMetrics) []snapshot.DropRate {
	var out []snapshot.DropRate
	for _, a := range after {
		i := slices.IndexFunc(before, func(b snapshot.AgentMetrics) bool { return b.Source == a.Source })
		if i < 0 {
			continue
		}
		for drop, n := range a.Drops {
			if more := n - before[i].Drops[drop]; more > 0 {
				out = append(out, snapshot.DropRate{Drop: drop, Node: a.Node, Packets: more, Source: a.Source})
			}
		}
	}
	slices.SortFunc(out, func(x, y snapshot.DropRate) int {
		switch {
		case x.Packets != y.Packets:
			return int(max(-1, min(1, y.Packets-x.Packets)))
		case x.Node != y.Node:
			return strings.Compare(x.Node, y.Node)
		}
		return strings.Compare(x.Direction+x.Reason, y.Direction+y.Reason)
	})
	return out
}
