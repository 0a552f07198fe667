package confirm

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect"
	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

type key struct{ signature, family, about string }

func keyOf(f *v1alpha1.Finding) key { return key{f.Signature, f.Family, f.About} }

// life of a finding that observations support or supported.
type life struct {
	// met is since when the quorum is met without a break, seen when it last was.
	met, seen time.Time
	// confirmed and gone are when it was confirmed last and when it went.
	confirmed, gone time.Time
	flaps           int
	finding         v1alpha1.Finding
	support         signature.Support
}

// Judge concludes from what was observed until now. The facts come from in,
// whose Snapshot may be nil or lack anything; its Probes are not used.
func (t *Tracker) Judge(now time.Time, in signature.Input) Judgement {
	t.forget(now)
	in = t.input(now, in)
	var j Judgement
	supported := map[key]bool{}
	for _, f := range detect.Run(&in) {
		s, _ := signature.ByID(f.Signature)
		if !s.Quorum.Needed() {
			j.Findings = append(j.Findings, f)
			continue
		}
		support, rests := in.Support(&f)
		if !rests {
			j.Findings = append(j.Findings, lowered(f, nil))
			continue
		}
		t.weigh(now, &j, f, s, support, in.Reach.Nodes(), supported)
	}
	t.pending(&j, &in, supported)
	t.fade(now, &j, supported)
	suppress(&j)
	t.record(&j)
	return j
}

// input is in with what was observed. Only the newest of each flow counts as a
// probe, and of answers only those that are newer than what fails.
func (t *Tracker) input(now time.Time, in signature.Input) signature.Input {
	s := snapshot.Snapshot{}
	if in.Snapshot != nil {
		s = *in.Snapshot
	}
	sightings := t.sightings()
	in.Snapshot = &s
	var nodes []string
	for n := range t.members {
		nodes = append(nodes, n)
	}
	in.Reach = signature.NewReach(signature.ReachInput{
		Sightings: sightings, Nodes: nodes, Zones: signature.Zones(&s), Totals: t.totals(),
		Twins: now.Sub(t.twin) < twinsLive,
	})
	s.Probes = in.Reach.Current(sightings)
	return in
}

// weigh a finding that probes support against its quorum.
func (t *Tracker) weigh(now time.Time, j *Judgement, f v1alpha1.Finding, s signature.Signature, support signature.Support, nodes int, supported map[key]bool) {
	missing := s.Quorum.Missing(support, nodes)
	l := t.life(now, keyOf(&f))
	held := l != nil && !l.confirmed.IsZero()
	if lasted := support.Last.Sub(support.First); len(missing) == 0 && lasted < s.Quorum.Hold && !held {
		missing = append(missing, fmt.Sprintf("%s more of the same", (s.Quorum.Hold-lasted).Round(time.Second)))
	}
	if len(missing) > 0 {
		if l == nil || l.confirmed.IsZero() {
			t.short(j, f, missing)
			supported[keyOf(&f)] = true
		}
		return
	}
	if l == nil {
		l = t.begin(keyOf(&f))
	}
	if l.met.IsZero() || now.Sub(l.seen) > gap {
		l.met = now
	}
	l.seen, l.support = now, support
	if l.confirmed.IsZero() {
		if !l.gone.IsZero() && now.Sub(l.gone) < remembered {
			l.flaps++
		}
		l.confirmed, l.gone = now, time.Time{}
	}
	f.Confidence, f.Lacked = v1alpha1.ConfidenceConfirmed, nil
	f.Evidence = append(slices.Clone(f.Evidence), decided(&f, support)...)
	l.finding = f
	supported[keyOf(&f)] = true
	j.Findings = append(j.Findings, f)
}

// decided is what of the differential the finding does not hold yet.
func decided(f *v1alpha1.Finding, s signature.Support) []v1alpha1.Evidence {
	var out []v1alpha1.Evidence
	for _, e := range s.Decided {
		if !slices.Contains(f.Evidence, e) {
			out = append(out, e)
		}
	}
	return out
}

// short of its quorum: a finding with facts behind it stays a prediction.
func (t *Tracker) short(j *Judgement, f v1alpha1.Finding, missing []string) {
	if slices.ContainsFunc(f.Evidence, func(e v1alpha1.Evidence) bool { return e.Kind == "config" }) {
		j.Findings = append(j.Findings, lowered(f, missing))
		return
	}
	j.Pending = append(j.Pending, lowered(f, missing))
}

// lowered is a finding that its observations do not confirm (yet).
func lowered(f v1alpha1.Finding, missing []string) v1alpha1.Finding {
	if f.Confidence != v1alpha1.ConfidenceConfirmed {
		f.Lacked = append(slices.Clone(f.Lacked), missing...)
		return f
	}
	f.Confidence = v1alpha1.ConfidencePossible
	if slices.ContainsFunc(f.Evidence, func(e v1alpha1.Evidence) bool { return e.Kind == "config" }) {
		f.Confidence = v1alpha1.ConfidencePredicted
	}
	if len(missing) == 0 {
		missing = []string{"agreement of independent probes"}
	}
	f.Lacked = append(slices.Clone(f.Lacked), missing...)
	return f
}

// pending adds what probes speak for without a quorum.
func (t *Tracker) pending(j *Judgement, in *signature.Input, supported map[key]bool) {
	for _, f := range in.Supported() {
		if k := keyOf(&f); !supported[k] && t.lives[k] == nil {
			if s, ok := signature.ByID(f.Signature); ok && len(s.Quorum.Missing(signature.Support{}, 2)) > 0 && len(f.Lacked) > 0 {
				j.Pending = append(j.Pending, f)
			}
		}
	}
}

func (t *Tracker) life(now time.Time, k key) *life {
	l := t.lives[k]
	if l != nil && l.confirmed.IsZero() && now.Sub(l.gone) > remembered {
		delete(t.lives, k)
		return nil
	}
	return l
}

func (t *Tracker) begin(k key) *life {
	if t.lives == nil {
		t.lives = map[key]*life{}
	}
	l := &life{}
	t.lives[k] = l
	return l
}

// fade keeps confirmed findings for a while that lost their support, and lets
// them go then.
func (t *Tracker) fade(now time.Time, j *Judgement, supported map[key]bool) {
	for _, k := range t.keys() {
		l := t.lives[k]
		switch {
		case supported[k] && l.seen.Equal(now):
		case l.confirmed.IsZero():
			if now.Sub(l.gone) > remembered {
				delete(t.lives, k)
			}
		case now.Sub(l.seen) < clears:
			j.Findings = slices.DeleteFunc(j.Findings, func(f v1alpha1.Finding) bool { return keyOf(&f) == k })
			j.Findings = append(j.Findings, l.finding)
		default:
			l.gone, l.confirmed, l.met = now, time.Time{}, time.Time{}
		}
	}
}

func (t *Tracker) keys() []key {
	out := make([]key, 0, len(t.lives))
	for k := range t.lives {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.signature, b.signature), cmp.Compare(a.family, b.family), cmp.Compare(a.about, b.about))
	})
	return out
}

// suppress takes out the effects of confirmed causes.
func suppress(j *Judgement) {
	var kept []v1alpha1.Finding
	for _, f := range j.Findings {
		if cause := causeOf(&f, j.Findings); cause != "" {
			f.CausedBy = cause
			j.Suppressed = append(j.Suppressed, f)
			continue
		}
		kept = append(kept, f)
	}
	j.Findings = kept
	slices.SortStableFunc(j.Findings, func(a, b v1alpha1.Finding) int {
		return cmp.Or(cmp.Compare(b.Severity.Rank(), a.Severity.Rank()), cmp.Compare(rank(&b), rank(&a)),
			cmp.Compare(a.Signature, b.Signature), cmp.Compare(b.Family, a.Family), cmp.Compare(a.About, b.About))
	})
}

func rank(f *v1alpha1.Finding) int {
	if f.Confidence == v1alpha1.ConfidenceConfirmed {
		return 1
	}
	return 0
}

// causeOf is the confirmed finding that brings an effect about. What is about one
// node has a cause about the same node, or about none.
func causeOf(effect *v1alpha1.Finding, all []v1alpha1.Finding) string {
	for i := range all {
		cause := &all[i]
		if cause.Confidence != v1alpha1.ConfidenceConfirmed || cause.Signature == effect.Signature {
			continue
		}
		s, _ := signature.ByID(cause.Signature)
		if slices.Contains(s.Effects, effect.Signature) && (effect.About == "" || cause.About == "" || cause.About == effect.About) {
			return cause.Signature
		}
	}
	return ""
}

func (t *Tracker) record(j *Judgement) {
	for i := range j.Findings {
		f := &j.Findings[i]
		if l := t.lives[keyOf(f)]; l != nil && !l.confirmed.IsZero() {
			j.Records = append(j.Records, Record{Signature: f.Signature, Family: f.Family, About: f.About,
				Since: l.support.First, Confirmed: l.confirmed, Support: l.support, Flaps: l.flaps})
		}
	}
}
