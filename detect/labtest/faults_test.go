//go:build linux

package labtest

import (
	"cmp"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/confirm"
	"github.com/remediate-dev/remediate/detect/mesh"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/internal/cidr"
	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

const (
	// look is how often it is judged what the probes said.
	look = 250 * time.Millisecond
	// patience is how long anything may take before the test fails.
	patience = 10 * time.Minute
	// after is how long a confirmed fault must stay the only one, and quiet how long
	// a healthy cluster is watched: more than twice each round of the mesh.
	after = 8 * time.Second
	quiet = 35 * time.Second
)

// row is a fault, or a variant of a healthy cluster that looks like one.
type row struct {
	name string
	spec lab.Spec
	// twins: there are probes in the nodes' own network.
	twins bool
	skew  map[string]time.Duration
	// fault begins it; nil when it is there from the start.
	fault func(c *cluster)
	// cure ends it, for those rows that wait for it. The judgement is not told.
	cure func(c *cluster)
	// denied: probes try a pod whose policy admits its own namespace only.
	denied bool
	// want is confirmed and nothing else; nothing is when it is empty. mild are told
	// at the end as no fault.
	want string
	mild []string
	// flux is what a Flux object says once the fault is confirmed, as its fetches take
	// half a minute to time out: an effect that the fault must claim.
	flux string
}

const archiveTimedOut = `failed to download archive: GET http://source-controller.flux-system.svc.cluster.local./kustomization/a.tar.gz: dial tcp: i/o timeout`

// apply is a new configuration in the repository, rolled out.
func apply(cfg cilium.Config) func(*cluster) {
	return func(c *cluster) {
		c.must(c.lab.Apply(cfg))
		c.mu.Lock()
		c.config = cfg
		c.mu.Unlock()
	}
}

func cut(fault lab.Cut) func(*cluster) { return func(c *cluster) { c.lab.Cut(fault) } }

func rows() []row {
	return []row{
		{name: "incident", fault: apply(lab.Incident()), cure: func(c *cluster) { c.must(c.lab.Apply(lab.Healthy())) }, want: signature.NativeRoutingCIDRExcludesPods},
		{name: "incident, IPv4", fault: apply(lab.IncidentIPv4()), want: signature.NativeRoutingCIDRExcludesPods, flux: archiveTimedOut},
		{name: "ip-masq-agent without the pods", fault: apply(lab.MasqAgent("nonMasqueradeCIDRs: [fd00:101::/48]\n")), want: signature.IPMasqAgentExcludesPods},
		{name: "route to one peer missing", fault: func(c *cluster) { c.lab.Nodes[1].LoseRoutes("", c.lab.Nodes[2]) }, want: signature.RouteToPeerMissing},
		{name: "all routes missing", fault: func(c *cluster) { c.lab.LoseRoutes("") }, want: signature.NoRouteBetweenNodes},
		{name: "all routes missing, IPv6, host probes", twins: true, fault: func(c *cluster) { c.lab.LoseRoutes(cidr.IPv6) }, want: signature.NoRouteBetweenNodes},
		{name: "same-L2 false", spec: lab.Spec{Segments: 2}, want: signature.DirectRouteSkipped},
		{name: "MTU black hole", fault: cut(lab.Cut{LongerThan: 1450}), want: signature.MTUMismatch},
		{name: "services broken", fault: func(c *cluster) { c.lab.BreakServices() }, want: signature.ServiceTranslationBroken, flux: archiveTimedOut},
		{name: "DNS server down", fault: func(c *cluster) { c.dns.Stop() }, want: signature.ClusterDNSDown},
		{name: "DNS pod cut off", fault: func(c *cluster) { c.dns.Pod.Isolate() }, want: signature.ClusterDNSDown},
		{name: "one family down", fault: cut(lab.Cut{Family: cidr.IPv6}), want: signature.FamilyDown},
		{name: "to one node only", fault: func(c *cluster) { c.lab.Cut(lab.Cut{To: c.lab.Nodes[2], OneWay: true}) }, want: signature.OneDirectionDown},
		{name: "from one node only", fault: func(c *cluster) { c.lab.Cut(lab.Cut{From: c.lab.Nodes[2], OneWay: true}) }, want: signature.OneDirectionDown},
		{name: "one node down", fault: func(c *cluster) { c.lab.Nodes[2].Down(); c.switchOff(c.lab.Nodes[2].Name) }, want: signature.NodeDown},
		{name: "pods of one node cut off", fault: func(c *cluster) { c.lab.Nodes[2].CutPods() }, want: signature.NodePodsUnreachable},
		{name: "node path down too", twins: true, fault: cut(lab.Cut{}), want: signature.NodePathDown},
		{name: "one pair down", fault: func(c *cluster) { c.lab.Cut(lab.Cut{From: c.lab.Nodes[1], To: c.lab.Nodes[2]}) }, want: signature.PairDown},
		{name: "10 % loss", fault: cut(lab.Cut{Percent: 10}), want: signature.PacketLoss},
		{name: "50 % loss", fault: cut(lab.Cut{Percent: 50}), want: signature.PacketLoss},
		{name: "healthy"},
		{name: "policies deny, rightly", twins: true, denied: true},
		{name: "delay", fault: func(c *cluster) {
			for _, n := range c.lab.Nodes {
				n.Delay(40 * time.Millisecond)
			}
		}},
		{name: "reflector crashed", fault: func(c *cluster) { c.reflectors["remediate-probe-3"].Close() }, mild: []string{signature.ProbeTargetRefuses}},
		{name: "clock skew", skew: map[string]time.Duration{"node-2": time.Hour, "node-3": -10 * time.Minute, "node-4": 40 * time.Second}},
		{name: "incident under clock skew", skew: map[string]time.Duration{"node-2": time.Hour, "node-3": -10 * time.Minute, "node-4": 40 * time.Second},
			fault: apply(lab.Incident()), want: signature.NativeRoutingCIDRExcludesPods},
	}
}

// runs is how often each row is run: once, or as often as figures need.
func runs(t *testing.T) int {
	t.Helper()
	text := os.Getenv("REMEDIATE_RUNS")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("REMEDIATE_RUNS is %q, want a number", text)
	}
	return n
}

// Each fault is confirmed as exactly its signature, and a healthy cluster as none.
func TestFaults(t *testing.T) {
	n := runs(t)
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			took := make([]time.Duration, n)
			if n == 1 {
				took[0] = r.run(t, 0)
				return
			}
			t.Cleanup(func() { figures(t, took) })
			for i := range took {
				t.Run(strconv.Itoa(i), func(t *testing.T) {
					t.Parallel()
					took[i] = r.run(t, i)
				})
			}
		})
	}
}

// figures says how long confirmations took.
func figures(t *testing.T, took []time.Duration) {
	slices.Sort(took)
	at := func(percent int) time.Duration { return took[(len(took)*percent-1)/100].Round(100 * time.Millisecond) }
	t.Logf("%d runs: median %s, p95 %s, most %s", len(took), at(50), at(95), at(100))
}

// run returns how long the confirmation took from the fault's beginning, which of
// several runs lies at another place of the mesh's round each.
func (r row) run(t *testing.T, nth int) time.Duration {
	t.Helper()
	c := newCluster(t, r)
	began := time.Now()
	if r.fault != nil || r.want == "" {
		c.ready()
		time.Sleep(time.Duration(nth) * 3700 * time.Millisecond % mesh.Round)
		c.only(c.judge(), "")
		began = time.Now()
	}
	if r.fault != nil {
		r.fault(c)
	}
	took, watch := time.Duration(0), quiet
	if r.want != "" {
		took, watch = c.until(r.want, began), after
	}
	c.mu.Lock()
	c.flux = r.flux
	c.mu.Unlock()
	c.watch(r, watch)
	if r.cure != nil {
		r.cure(c)
		c.until("", time.Now())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.wrong {
		t.Error(w)
	}
	return took
}

// watch that what is confirmed stays so, and nothing joins it.
func (c *cluster) watch(r row, lasting time.Duration) {
	c.t.Helper()
	for end := time.Now().Add(lasting); ; time.Sleep(look) {
		j := c.judge()
		c.only(j, r.want)
		faults, mild := confirmed(j)
		if r.want != "" && len(faults) == 0 {
			c.t.Fatalf("%s went though the fault lasts\n%s", r.want, explain(j))
		}
		if time.Now().Before(end) {
			continue
		}
		if !slices.Equal(mild, r.mild) {
			c.t.Errorf("told besides: %q, want %q\n%s", mild, r.mild, explain(j))
		}
		if r.flux != "" {
			c.claimed(j, signature.FluxIsAVictim, r.want)
		}
		return
	}
}

// claimed fails unless an effect is left out of the findings, and told as what the
// fault brings about.
func (c *cluster) claimed(j confirm.Judgement, effect, cause string) {
	c.t.Helper()
	is := func(f v1alpha1.Finding) bool {
		return f.Signature == effect && f.Confidence == v1alpha1.ConfidenceConfirmed && f.CausedBy == cause
	}
	if !slices.ContainsFunc(j.Suppressed, is) || slices.ContainsFunc(j.Findings, func(f v1alpha1.Finding) bool { return f.Signature == effect }) {
		c.t.Errorf("%s is not claimed by %s\n%s", effect, cause, explain(j))
	}
}

// only fails when anything but want is confirmed.
func (c *cluster) only(j confirm.Judgement, want string) {
	c.t.Helper()
	faults, _ := confirmed(j)
	if len(faults) > 1 || len(faults) == 1 && faults[0] != want {
		c.t.Fatalf("confirmed %q, want %q only\n%s", faults, want, explain(j))
	}
}

// until something is confirmed, or with an empty want nothing any more.
func (c *cluster) until(want string, began time.Time) time.Duration {
	c.t.Helper()
	for {
		j := c.judge()
		faults, _ := confirmed(j)
		took := time.Since(began)
		if want != "" {
			c.only(j, want)
		}
		if (len(faults) == 1) == (want != "") {
			c.t.Logf("%s confirmed after %s", cmp.Or(want, "nothing"), took.Round(10*time.Millisecond))
			return took
		}
		if took > patience {
			c.t.Fatalf("confirmed %q after %s, want %q\n%s", faults, took, want, explain(j))
		}
		time.Sleep(look)
	}
}
