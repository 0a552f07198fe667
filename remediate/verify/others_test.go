package verify

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Only what the change was to cure decides whether it has an effect. What failed
// before and fails still is told beside the verdict.
func TestOnlyThePromiseDecides(t *testing.T) {
	var (
		service4 = classOf("ClusterIP", "IPv4", "TCP", "open")
		service6 = classOf("ClusterIP", "IPv6", "TCP", "open")
		outside4 = classOf("External", "IPv4", "TCP", "")
		lost     = Count{Lost: 12}
		all      = []int{0, 1, 2}
	)
	still := func(classes ...Class) func(*Input) {
		return func(in *Input) {
			for _, c := range classes {
				before(in, c, Count{Lost: 30})
				since(in, c, lost, all...)
			}
		}
	}
	mtu := func(do func(*Input)) func(*Input) {
		return func(in *Input) {
			in.Planned.EndsMasquerade, in.Planned.Causes = false, []Cause{{Signature: "mtu-too-large", Family: "IPv6"}}
			before(in, open6, Count{Lost: 30})
			do(in)
		}
	}
	tests := []struct {
		name    string
		change  func(*Input)
		verdict Verdict
		text    string
		beside  []string
	}{
		{"another family's service", still(service4), Verified, "Not cured by it, and not meant to be: IPv4 TCP ClusterIP open", []string{service4.String()}},
		{"two of them", still(service4, outside4), Verified, "IPv4 TCP ClusterIP open, IPv4 TCP External", []string{service4.String(), outside4.String()}},
		{"a service of the family, which a masquerade does not cut off", still(service6), Verified, "Not cured by it, and not meant to be: IPv6 TCP ClusterIP open", []string{service6.String()}},
		{"a service of the family, of a cause that does", mtu(still(service6)), NotEffective, "IPv6 TCP ClusterIP open still fails from n1, n2, n3", nil},
		{"another family's service, beside what is not cured", func(in *Input) {
			still(service4)(in)
			since(in, guarded6, lost, all...)
		}, NotEffective, "IPv6 TCP PodIP guarded, other node still fails", []string{service4.String()}},
		{"it works by now", func(in *Input) {
			still(service4)(in)
			since(in, service4, Count{OK: 8}, all...)
		}, Verified, "Verified", nil},
		{"it was not tried since", func(in *Input) {
			still(service4)(in)
			since(in, service4, Count{}, all...)
		}, Verified, "Verified", nil},
		{"another cause is confirmed as before", func(in *Input) {
			c := Cause{Signature: "service-without-backends", Family: "IPv4"}
			in.Baseline.Confirmed = append(in.Baseline.Confirmed, c)
			in.Probes.Confirmed = []Confirmed{{Cause: c, Critical: true, Since: after(-time.Hour), Last: after(6*time.Minute + 55*time.Second)}}
		}, Verified, "Verified", nil},
		{"the change has no cause of its own: whatever failed counts", func(in *Input) {
			in.Planned.Causes, in.Planned.EndsMasquerade = nil, false
			still(service4)(in)
		}, NotEffective, "IPv4 TCP ClusterIP open still fails", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := story()
			tt.change(&in)
			s := Judge(in)
			stage := StageRolledOut
			if tt.verdict == Verified {
				stage = StageVerified
			}
			check(t, s, stage, tt.verdict, tt.text)
			var told []string
			for _, e := range s.Evidence {
				if class, _, ok := strings.Cut(e.Text, " failed before the change (30 lost) and does still (36 lost)"); ok {
					told = append(told, class)
				}
			}
			if !slices.Equal(told, tt.beside) {
				t.Errorf("told beside the verdict: %q, want %q", told, tt.beside)
			}
		})
	}
}

// Where nothing is known to have worked, nothing is known to be unbroken, unless all
// that is tried works.
func TestNothingWorkedBefore(t *testing.T) {
	only := func(in *Input) { in.Baseline.Classes = []ClassCount{{guarded6, Count{Lost: 40}}} }
	tests := []struct {
		name    string
		change  func(*Input)
		verdict Verdict
		text    string
	}{
		{"all works", only, Verified, "so does all else that probes try"},
		{"no class was counted", func(in *Input) { in.Baseline.Classes = nil }, Verified, "nothing was seen to fail before"},
		{"all works, not for long", func(in *Input) {
			only(in)
			in.Hold, in.Now = 10*time.Second, after(6*time.Minute+20*time.Second)
			for i := range in.Probes.Senders {
				in.Probes.Senders[i].Heard = in.Now
			}
		}, Pending, "it is not known what worked before the change, so all that probes try has to be seen: for 10s more"},
		{"DNS fails", func(in *Input) {
			only(in)
			since(in, dns6, Count{Lost: 4}, 0, 1, 2)
		}, Pending, "it is not known whether it worked before the change: IPv6 UDP DNS is not answered"},
		{"DNS fails from one", func(in *Input) {
			only(in)
			since(in, dns6, Count{OK: 2, Lost: 4}, 1)
		}, Pending, "it is not known whether it worked before the change: IPv6 UDP DNS still fails"},
		{"DNS cannot be tried", func(in *Input) {
			only(in)
			since(in, dns6, Count{NotChecked: 4}, 0, 1, 2)
		}, Verified, ""},
		{"a masquerade is left by IPv4, where nobody sees whether that is new", func(in *Input) {
			only(in)
			since(in, guarded4, Count{OK: 2, Masked: 9}, 0)
		}, Pending, "IPv4 TCP PodIP guarded, other node is still masqueraded"},
		{"what was to be cured is not", func(in *Input) {
			only(in)
			since(in, guarded6, Count{Lost: 12}, 0, 1, 2)
		}, NotEffective, "IPv6 TCP PodIP guarded, other node still fails"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := story()
			tt.change(&in)
			stage := StageRolledOut
			if tt.verdict == Verified {
				stage = StageVerified
			}
			check(t, Judge(in), stage, tt.verdict, tt.text)
		})
	}
}

// A critical finding that came with the change keeps it from being Verified, though
// no flow that worked was seen to fail.
func TestNewCriticalFinding(t *testing.T) {
	end := after(6*time.Minute + 55*time.Second)
	found := func(c Cause, critical bool, last time.Time) Confirmed {
		return Confirmed{Cause: c, Critical: critical, Summary: "packets are dropped", Since: after(6 * time.Minute), Last: last}
	}
	path := Cause{Signature: "node-path-down", Family: "IPv4"}
	tests := []struct {
		name    string
		finding Confirmed
		change  func(*Input)
		verdict Verdict
	}{
		{"new", found(path, true, end), nil, Pending},
		{"new, and no baseline", found(path, true, end), func(in *Input) { in.Baseline = nil }, Pending},
		{"not critical", found(path, false, end), nil, Verified},
		{"as before", found(path, true, end), func(in *Input) { in.Baseline.Confirmed = append(in.Baseline.Confirmed, path) }, Verified},
		{"as before, by its signature alone", found(path, true, end), func(in *Input) {
			in.Baseline.Confirmed = append(in.Baseline.Confirmed, Cause{Signature: path.Signature})
		}, Verified},
		{"as before, of another family", found(path, true, end), func(in *Input) {
			in.Baseline.Confirmed = append(in.Baseline.Confirmed, Cause{Signature: path.Signature, Family: "IPv6"})
		}, Pending},
		{"seen before every agent had the change", found(path, true, after(5*time.Minute)), nil, Verified},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := story()
			in.Probes.Confirmed = []Confirmed{tt.finding}
			if tt.change != nil {
				tt.change(&in)
			}
			stage, text := StageVerified, ""
			if tt.verdict == Pending {
				stage, text = StageRolledOut, "node-path-down is confirmed, and was not before the change: packets are dropped"
			}
			check(t, Judge(in), stage, tt.verdict, text)
		})
	}
}

// However much fails beside it, a sentence stays one, and the evidence a list.
func TestBesideIsBounded(t *testing.T) {
	in := story()
	for i := range 60 {
		c := classOf("ClusterIP", "IPv4", strings.Repeat("p", i+1), "open")
		before(&in, c, Count{Lost: 30})
		since(&in, c, Count{Lost: 12}, 0, 1, 2)
	}
	s := Judge(in)
	check(t, s, StageVerified, Verified, "and 55 more")
	if len(s.Summary) > 600 || len(s.Evidence) > 40 || len(s.Flows) > maxClasses {
		t.Errorf("%d bytes, %d pieces of evidence, %d flows", len(s.Summary), len(s.Evidence), len(s.Flows))
	}
}
