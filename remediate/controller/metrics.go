package controller

import (
	"sync"
	"time"

	fluxmetrics "github.com/fluxcd/pkg/runtime/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// What the metrics tell of an incident is by kind of thing, never by node or pair of
// nodes.
var (
	forgeCalls = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "remediate_forge_calls_total", Help: "Calls of a forge's API by kind of forge, operation and result.",
	}, []string{"forge", "operation", "result"})
	timeToConfirm = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "remediate_time_to_confirm_seconds", Help: "From the first observation of a cause to its confirmation.",
		Buckets: []float64{2, 5, 10, 15, 20, 30, 45, 60, 120, 300},
	}, []string{"signature"})
	timeToPullRequest = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "remediate_time_to_pull_request_seconds", Help: "From the confirmation of a cause to the open pull request.",
		Buckets: []float64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 3600},
	}, []string{"signature"})
	timeToVerdict = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "remediate_time_to_verdict_seconds", Help: "From the merge to the verdict.",
		Buckets: []float64{15, 30, 60, 120, 300, 600, 1200, 3600, 4 * 3600, 24 * 3600},
	}, []string{"verdict"})
	verdicts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "remediate_verdicts_total", Help: "Verdicts by signature.",
	}, []string{"signature", "verdict"})
	silentProbes = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "remediate_probes_silent", Help: "Probes of which nothing is heard, by namespace of the probes.",
	}, []string{"namespace"})
	lastHeard = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "remediate_probes_last_heard_timestamp_seconds", Help: "When any probe was heard last, by namespace of the probes; 0: never.",
	}, []string{"namespace"})
	activeIncidents = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "remediate_incidents_active", Help: "Remediations that have not ended, by policy.",
	}, []string{"namespace", "policy"})
)

func init() {
	metrics.Registry.MustRegister(forgeCalls, timeToConfirm, timeToPullRequest, timeToVerdict, verdicts, silentProbes, lastHeard, activeIncidents)
}

// recorded are Flux's metrics of reconciliations. The registry is the process's, and
// takes them once.
var recorded = sync.OnceValue(fluxmetrics.MustMakeRecorder)

// observeBetween records a time span if both ends are known and in order.
func observeBetween(h prometheus.Observer, from, to time.Time) {
	if !from.IsZero() && !to.Before(from) {
		h.Observe(to.Sub(from).Seconds())
	}
}

func countVerdict(signature v1alpha1.SignatureID, v v1alpha1.Verdict) {
	verdicts.WithLabelValues(string(signature), string(v)).Inc()
}
