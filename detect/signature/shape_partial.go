package signature

import (
	"maps"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// partial finds what leaves the paths between nodes alone: another source, a
// policy, a size, services, names, one target.
func (r *Reach) partial(f *family, c cutInfo) []verdict {
	var out []verdict
	add := func(v verdict, ok bool) {
		if ok {
			out = append(out, v)
		}
	}
	add(r.masquerade(f))
	add(r.admits(f))
	if f.steady() {
		add(r.chosen(f, denied, func(p *pair) (run, bool) {
			return p.guarded, p.guarded.tail >= 3 && p.open.lost == 0 && p.open.works(p.guarded.since) && !p.own.Before(p.guarded.since)
		}))
		if !f.cut {
			add(r.oversized(f))
		}
	}
	if f.steady() && len(c.lost) == 0 { // else services and names fail with the paths
		svc, broken := r.clusterIPs(f)
		add(svc, broken)
		if !broken {
			add(r.dns(f))
		}
	}
	return append(out, r.refusing(f)...)
}

// masquerade: targets on other nodes saw another source than the pod.
func (r *Reach) masquerade(f *family) (verdict, bool) {
	v := verdict{kind: masked, family: f.name}
	var since []time.Time
	for _, k := range slices.SortedFunc(maps.Keys(f.pairs), byPair) {
		if p := f.pairs[k]; p.maskedCount > 0 {
			v.pairs = append(v.pairs, k)
			v.support.Exchanges += p.maskedCount
			v.support.include(p.maskedSince, p.masked)
			since = append(since, p.maskedSince)
			v.seen = p.maskedSource
		}
	}
	if len(v.pairs) == 0 {
		return v, false
	}
	slices.SortFunc(since, time.Time.Compare)
	onset := since[len(since)/2]
	own := map[string]bool{}
	for k, p := range f.pairs {
		if !p.own.Before(onset) && !p.own.IsZero() {
			own[k.from] = true
		}
	}
	// A node that masquerades does so towards all others.
	v.pairs = slices.DeleteFunc(v.pairs, func(k pairKey) bool { return own[k.from] })
	v.count()
	v.support.Decided = f.maskedEvidence(v.pairs)
	return v, len(v.pairs) > 0 && len(v.support.Probers) > len(own)
}

// count who says so of the verdict's pairs.
func (v *verdict) count() {
	probers, targets := map[string]bool{}, map[string]bool{}
	for _, k := range v.pairs {
		probers[k.from], targets[k.to] = true, true
	}
	v.support.Both = v.support.Both || bothWays(v.pairs)
	v.support.Probers, v.support.Targets, v.support.Pairs = sortedKeys(probers), sortedKeys(targets), len(v.pairs)
}

// chosen gathers the pairs that a rule picks, with the run that it rests on.
func (r *Reach) chosen(f *family, k kind, pick func(*pair) (run, bool)) (verdict, bool) {
	v := verdict{kind: k, family: f.name}
	for _, key := range slices.SortedFunc(maps.Keys(f.pairs), byPair) {
		evidence, ok := pick(f.pairs[key])
		if !ok {
			continue
		}
		v.pairs = append(v.pairs, key)
		v.support.Exchanges += evidence.tail
		v.support.include(evidence.since, evidence.lastLost)
		v.support.Decided = append(v.support.Decided, told(evidence.last))
	}
	v.count()
	v.support.Decided = few(v.support.Decided)
	return v, len(v.pairs) > 0
}

// admits: guarded targets answer who is not admitted. That a prober is in a node's
// own network it knows itself; how a pod is seen is the target's word, and one
// target's is not enough.
func (r *Reach) admits(f *family) (verdict, bool) {
	v, known := verdict{kind: unfiltered, family: f.name}, false
	for _, key := range slices.SortedFunc(maps.Keys(f.pairs), byPair) {
		if s := f.pairs[key].unfiltered; s != nil {
			v.pairs, known = append(v.pairs, key), known || s.HostNetwork
			v.support.Exchanges++
			v.support.include(s.Time, s.Time)
			v.support.Decided = append(v.support.Decided, told(s))
		}
	}
	v.count()
	v.support.Decided = few(v.support.Decided)
	return v, len(v.pairs) > 0 && (known || len(v.support.Targets) > 1)
}

// oversized: large packets of a pair are lost while none of its small ones is.
func (r *Reach) oversized(f *family) (verdict, bool) {
	v, ok := r.chosen(f, sizes, func(p *pair) (run, bool) {
		small := p.open.works(p.big.since) || p.guarded.works(p.big.since) || p.toNode.works(p.big.since)
		return p.big, p.big.tail >= 2 && small && p.open.lost == 0 && p.guarded.lost == 0
	})
	for _, k := range v.pairs {
		p := f.pairs[k]
		v.seen = told(p.big.last).Text
		if p.open.last != nil {
			v.support.Decided = append(v.support.Decided, told(p.open.last))
		}
	}
	v.support.Decided = few(v.support.Decided)
	return v, ok
}

// clusterIPs: services fail from most probers, and none got through since.
func (r *Reach) clusterIPs(f *family) (verdict, bool) {
	v, ok := r.byProber(f, services, slices.Sorted(maps.Keys(f.cluster)), func(node string) *run { return f.cluster[node] })
	return v, ok && !f.losing(v.support.First)
}

// losing: exchanges with open targets were lost since, of more pairs than one
// restarting pod accounts for. What services and names lose then may be the path's.
func (f *family) losing(since time.Time) bool {
	const most = 2
	n := 0
	for _, p := range f.pairs {
		if slices.ContainsFunc(p.open.losses, func(t time.Time) bool { return !t.Before(since) }) {
			n++
		}
	}
	return n > most
}

// dns: no address of the cluster's DNS answers anybody since.
func (r *Reach) dns(f *family) (verdict, bool) {
	if !f.clusterIPsWork() {
		return verdict{}, false
	}
	byIP := map[string]map[string]*run{}
	for k, tries := range f.dns {
		if byIP[k.ip] == nil {
			byIP[k.ip] = map[string]*run{}
		}
		byIP[k.ip][k.from] = tries
	}
	var worst verdict
	var dead []string
	exchanges := 0
	for _, ip := range slices.Sorted(maps.Keys(byIP)) {
		runs := byIP[ip]
		v, ok := r.byProber(f, names, slices.Sorted(maps.Keys(runs)), func(node string) *run { return runs[node] })
		if !ok {
			continue
		}
		for _, tries := range f.dns {
			if tries.works(v.support.First) {
				return verdict{}, false
			}
		}
		dead = append(dead, ip)
		exchanges += v.support.Exchanges
		if len(v.support.Probers) > len(worst.support.Probers) {
			worst = v
		}
	}
	if len(dead) == 0 {
		return worst, false
	}
	worst.groups, worst.support.Exchanges = [][]string{dead}, exchanges
	return worst, !f.losing(worst.support.First)
}

// clusterIPsWork: one answered since the first name could not be asked for, and
// none is failing, or there is none to try.
func (f *family) clusterIPsWork() bool {
	if len(f.cluster) == 0 {
		return true
	}
	var since time.Time
	for _, tries := range f.dns {
		if tries.tail > 0 && (since.IsZero() || tries.since.Before(since)) {
			since = tries.since
		}
	}
	works := false
	for _, tries := range f.cluster {
		if tries.tail >= 2 && !tries.lastLost.Before(since) {
			return false
		}
		works = works || tries.works(since)
	}
	return works
}

// steady: losses and answers do not take turns, so that what fails fails for a
// reason.
func (f *family) steady() bool {
	const most, span = 2, 30 * time.Second
	now, n := f.latest(), 0
	for _, p := range f.pairs {
		for _, t := range p.open.recovered {
			if now.Sub(t) < span {
				n++
			}
		}
	}
	return n <= most
}

// byProber gathers probers whose tries of one thing all fail since, unless
// others get through.
func (r *Reach) byProber(f *family, k kind, probers []string, of func(string) *run) (verdict, bool) {
	v := verdict{kind: k, family: f.name}
	var since []time.Time
	for _, node := range probers {
		tries := of(node)
		if tries.tail < 2 {
			continue
		}
		since = append(since, tries.since)
		v.pairs = append(v.pairs, pairKey{from: node})
		v.support.Exchanges += tries.tail
		v.support.include(tries.since, tries.lastLost)
		v.support.Decided = append(v.support.Decided, told(tries.last))
	}
	if len(since) == 0 {
		return v, false
	}
	pod := f.aPodAnswers(v.support.First)
	if len(pod) == 0 && !f.answersSince(v.support.First) {
		return v, false // then it is no matter of services or names
	}
	slices.SortFunc(since, time.Time.Compare)
	for _, node := range probers {
		if of(node).works(since[len(since)/2]) {
			return v, false
		}
	}
	v.count()
	v.support.Targets = nil
	v.support.Decided = append(few(v.support.Decided)[:min(len(v.support.Decided), mostEvidence-1)], pod...)
	return v, true
}

// refusing are targets that say no while the path works.
func (r *Reach) refusing(f *family) []verdict {
	by := map[string]*verdict{}
	for _, k := range slices.SortedFunc(maps.Keys(f.pairs), byPair) {
		p := f.pairs[k]
		for _, last := range []*Sighting{p.open.last, p.guarded.last} {
			if last == nil || last.Outcome != v1alpha1.OutcomeRefused {
				continue
			}
			v := by[k.to]
			if v == nil {
				v = &verdict{kind: refuses, family: f.name, about: k.to}
				by[k.to] = v
			}
			v.pairs = append(v.pairs, k)
			v.support.Exchanges += p.refused
			v.support.include(last.Time, last.Time)
			v.support.Decided = append(v.support.Decided, told(last))
		}
	}
	var out []verdict
	for _, node := range slices.Sorted(maps.Keys(by)) {
		v := by[node]
		v.pairs = slices.Compact(v.pairs)
		v.count()
		v.support.Decided = few(v.support.Decided)
		out = append(out, *v)
	}
	return out
}
