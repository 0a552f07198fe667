package verify

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/detect/snapshot"
)

// drawInput makes inputs of every kind: known and unknown facts, times in any order,
// names and messages of any bytes.
func drawInput(t *rapid.T) Input {
	tri := rapid.Map(rapid.IntRange(0, 2), func(i int) snapshot.Tri { return snapshot.Tri(i) })
	at := rapid.Map(rapid.IntRange(-60, 120), func(m int) time.Time {
		if m == -60 {
			return time.Time{}
		}
		return after(time.Duration(m) * 10 * time.Second)
	})
	text := rapid.OneOf(rapid.SampledFrom([]string{"", "n1", "n2", wide, narrow, "a\nb\x1b[31m", strings.Repeat("x", 9000), "$(reboot)", "\u202eevil"}), rapid.String())
	flag := rapid.Bool()
	number := rapid.IntRange(-3, 40)
	class := rapid.SampledFrom([]Class{guarded6, open6, guarded4, dns6, {}, {Via: "x\x00", Family: "\u202e", SameNode: true}})
	count := rapid.Custom(func(t *rapid.T) Count {
		return Count{OK: number.Draw(t, "ok"), Masked: number.Draw(t, "masked"), Lost: number.Draw(t, "lost"), NotChecked: number.Draw(t, "notChecked"),
			FirstBad: at.Draw(t, "first"), LastBad: at.Draw(t, "bad"), LastOK: at.Draw(t, "last")}
	})
	counts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ClassCount { return ClassCount{class.Draw(t, "class"), count.Draw(t, "count")} }), 0, 6)

	in := story()
	in.Now, in.Before = at.Draw(t, "now"), Since{at.Draw(t, "m"), at.Draw(t, "r"), at.Draw(t, "o"), at.Draw(t, "v")}
	if flag.Draw(t, "merged") {
		in.Merged.At = at.Draw(t, "mergedAt")
	}
	if flag.Draw(t, "changeFlux") {
		in.Source.Contains, in.Source.Message, in.Source.Ready = tri.Draw(t, "s"), text.Draw(t, "sm"), tri.Draw(t, "sr")
		in.Kustomizations[0].Contains, in.Kustomizations[0].Object = tri.Draw(t, "k"), text.Draw(t, "ko")
		in.Release.Digest, in.Release.Status = text.Draw(t, "rd"), text.Draw(t, "rs")
		in.Config.Data[cidrKey] = text.Draw(t, "value")
	}
	in.Config.Changed = at.Draw(t, "changed")
	for i := range in.Nodes {
		in.Nodes[i].Ready = tri.Draw(t, "ready")
	}
	for i := range in.Agents.Pods {
		p := &in.Agents.Pods[i]
		if flag.Draw(t, "changePod") {
			p.Created, p.ConfigRead, p.Ready, p.Why, p.Deleted = at.Draw(t, "created"), at.Draw(t, "read"), tri.Draw(t, "podReady"), text.Draw(t, "why"), flag.Draw(t, "deleted")
		}
		p.Name = text.Draw(t, "pod")
	}
	in.Agents.OnDelete = flag.Draw(t, "onDelete")
	if flag.Draw(t, "override") {
		in.Overrides = []Override{{Object: text.Draw(t, "o"), Key: cidrKey, Value: text.Draw(t, "ov"), Nodes: map[string]bool{text.Draw(t, "on"): true}, Unclear: flag.Draw(t, "unclear")}}
	}
	in.Probes.Listening = flag.Draw(t, "listening")
	for i := range in.Probes.Senders {
		s := &in.Probes.Senders[i]
		if flag.Draw(t, "changeSender") {
			s.Heard, s.Silent, s.Counts = at.Draw(t, "heard"), text.Draw(t, "silent"), counts.Draw(t, "counts")
		}
	}
	switch rapid.IntRange(0, 2).Draw(t, "baseline") {
	case 0:
		in.Baseline = nil
	case 1:
		in.Baseline.Classes = counts.Draw(t, "before")
	}
	return in
}

// Whatever was seen: no verdict about flows without anything heard of probes, none
// that is Verified with an agent or a sender that is not known to be fine, nothing
// that could not be shown, and nothing in a command but names.
func TestAnyInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		s := Judge(in)
		verified := s.Verdict == Verified
		for _, n := range s.Nodes {
			if verified && n.Active != snapshot.Yes {
				t.Fatalf("Verified, and %s is %v", n.Node, n.Active)
			}
		}
		heard := map[string]bool{}
		for _, x := range in.Probes.Senders {
			heard[name(x.Node)] = !x.Heard.IsZero() && x.Silent == ""
		}
		for _, n := range s.Nodes {
			if verified && !heard[n.Node] {
				t.Fatalf("Verified, and nothing is heard of %s", n.Node)
			}
		}
		if s.Verdict == NotEffective && s.Stage != StageRolledOut {
			t.Fatalf("NotEffective at stage %q", s.Stage)
		}
		if verified != (s.Stage == StageVerified) && s.Verdict != Regressed && s.Verdict != NotEffective {
			t.Fatalf("stage %q, verdict %q", s.Stage, s.Verdict)
		}
		shows(t, s)
	})
}

// Without observations of probes there is no verdict about flows.
func TestNoVerdictWithoutObservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		switch rapid.IntRange(0, 2).Draw(t, "without") {
		case 0:
			in.Probes = Probes{Listening: in.Probes.Listening}
		case 1:
			in.Probes.Listening = false
		case 2:
			for i := range in.Probes.Senders {
				in.Probes.Senders[i].Counts = nil
			}
		}
		switch s := Judge(in); s.Verdict {
		case Verified, NotEffective, Regressed:
			t.Fatalf("%s without an observation:\n%s", s.Verdict, dump(s))
		}
	})
}

// drawNearly makes inputs that lack little of being verified: what was counted
// before and since is drawn, of few classes, and mostly well.
func drawNearly(t *rapid.T) Input {
	all := []Class{guarded6, open6, guarded4, dns6, classOf(podIP, "IPv6", udp, guarded), classOf(podIP, "IPv6", "HTTP", guarded),
		classOf(podIP, "IPv4", udp, "open"), classOf(clusterIP, "IPv6", tcp, "open"), sameNodeOf(guarded6)}
	in := story()
	in.Planned.EndsMasquerade = rapid.Bool().Draw(t, "masks")
	in.Baseline.Classes = nil
	for _, c := range all {
		switch n := rapid.IntRange(0, 60).Draw(t, "before"); {
		case n < 10:
		case c.Family == "IPv6" && n < 30:
			before(&in, c, Count{Lost: n - 9})
		default:
			before(&in, c, Count{OK: n, Lost: n / 59})
		}
	}
	for i := range in.Probes.Senders {
		for _, c := range all {
			switch n := 299 - rapid.IntRange(0, 299).Draw(t, "since"); { // small numbers are drawn more often
			case n < 8:
				since(&in, c, Count{}, i)
			case n < 10:
				since(&in, c, Count{NotChecked: 3}, i)
			case n < 12:
				since(&in, c, Count{OK: 6, Lost: n - 9}, i)
			default:
				since(&in, c, Count{OK: n}, i)
			}
		}
	}
	if rapid.IntRange(0, 9).Draw(t, "finding") == 0 {
		in.Probes.Confirmed = []Confirmed{{Cause: Cause{Signature: rapid.SampledFrom([]string{"a", cause.Signature}).Draw(t, "signature"), Family: "IPv6"},
			Critical: rapid.Bool().Draw(t, "critical"), Last: in.Now}}
	}
	return in
}

// Nothing is Verified without an observation: of every sending node, of every kind of
// flow that failed in the causes' families, of every family that worked; and nothing
// that fails, or is newly confirmed, is passed over.
func TestVerifiedIsObserved(t *testing.T) {
	verified, total := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		in := drawNearly(t)
		s := Judge(in)
		total++
		if s.Verdict != Verified {
			return
		}
		verified++
		for _, f := range in.Probes.Confirmed {
			if f.Critical || f.Signature == cause.Signature {
				t.Fatalf("Verified, and %s is confirmed", f.Signature)
			}
		}
		for _, b := range in.Baseline.Classes {
			mine := func(c Class) bool { return c == b.Class || c.kin() == b.Class.kin() }
			promised := b.Family == "IPv6" && b.across() && b.byTurns() && (b.Via == podIP || !in.Planned.EndsMasquerade)
			switch {
			case promised && b.Lost >= brokenLeast && !b.well(false):
				for _, sender := range in.Probes.Senders {
					saw(t, b.Class, sender.Node, mine, sender.Counts)
				}
				fallthrough
			case promised && !b.well(false):
				var all []ClassCount
				for _, sender := range in.Probes.Senders {
					all = append(all, sender.Counts...)
				}
				saw(t, b.Class, "anybody", mine, slices.DeleteFunc(all, func(c ClassCount) bool { return c.tried() == 0 }))
			case b.well(false) && b.across() && b.Via == podIP && b.byTurns():
				family := func(c Class) bool { return c.Via == podIP && c.across() && c.Family == b.Family }
				for _, sender := range in.Probes.Senders {
					saw(t, b.Class, sender.Node, family, sender.Counts)
				}
			}
		}
	})
	t.Logf("%d of %d inputs were verified", verified, total)
	if verified == 0 {
		t.Errorf("none of %d inputs was verified", total)
	}
}

// saw fails unless some class was answered, or each that was to be tried cannot be.
func saw(t *rapid.T, failed Class, who string, is func(Class) bool, counts []ClassCount) {
	var found bool
	for _, c := range counts {
		found = found || is(c.Class) && (c.OK+c.Masked > 0 || c.NotChecked > 0)
	}
	if !found {
		t.Fatalf("Verified, and nothing like %s was seen from %s: %v", failed, who, counts)
	}
}

// shows holds what is said to what a terminal, a status and a shell may be given.
func shows(t *rapid.T, s State) {
	b, err := json.Marshal(s.Result())
	if err != nil {
		t.Fatal(err)
	}
	var all any
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	walk(all, func(text string) {
		for _, r := range text {
			if unicode.IsControl(r) || !unicode.IsPrint(r) {
				t.Fatalf("%q holds %U", text, r)
			}
		}
		if len(text) > 2500 {
			t.Fatalf("%d bytes: %.80s…", len(text), text)
		}
	})
	if s.FollowUp != nil {
		for _, c := range s.FollowUp.Commands {
			if strings.ContainsAny(c, "$`;&|<>\"'\\\n(){}*?") {
				t.Fatalf("command %q", c)
			}
		}
	}
}

func walk(v any, do func(string)) {
	switch x := v.(type) {
	case string:
		do(x)
	case []any:
		for _, e := range x {
			walk(e, do)
		}
	case map[string]any:
		for k, e := range x {
			do(k)
			walk(e, do)
		}
	}
}
