package signature

import (
	"fmt"
	"slices"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// What tells loss from a path that broke and healed: answers after losses come
// all over the time that is looked at, not at one moment of it.
const (
	lossBucket  = 5 * time.Second
	lossBuckets = 12
	lossShare   = 0.05
)

// lossy: exchanges fail and succeed by turns, on pairs that have more in common
// than one node, or for long around the same one.
func (r *Reach) lossy(f *family) (verdict, bool) {
	now := f.latest()
	v := verdict{kind: lossy, family: f.name}
	var buckets [lossBuckets][]pairKey
	var answers [lossBuckets]bool
	for k, p := range f.pairs {
		for _, t := range slices.Concat(p.open.losses, p.guarded.losses) {
			if i := int(now.Sub(t) / lossBucket); i < lossBuckets {
				buckets[i] = append(buckets[i], k)
				v.support.include(t, t) // an answer says that it may be over
			}
		}
		for _, t := range slices.Concat(p.open.recovered, p.guarded.recovered) {
			if i := int(now.Sub(t) / lossBucket); i < lossBuckets {
				answers[i] = true
				v.pairs = append(v.pairs, k)
				v.support.Exchanges++
			}
		}
	}
	slices.SortFunc(v.pairs, byPair)
	v.pairs = slices.Compact(v.pairs)
	v.count()
	hub, ok := spread(buckets[:], len(r.nodes))
	ok = ok && (hub == "" || byTurns(buckets[:], answers[:]))
	var measured bool
	if v.share, measured = f.lossShare(now, hub); !ok || !measured || v.share < lossShare || v.share > 0.97 {
		return v, false
	}
	v.about = hub
	v.support.Decided = []v1alpha1.Evidence{{Kind: "probe", Source: "heartbeats of the probes",
		Text: fmt.Sprintf("%.0f %% of the exchanges between nodes over %s fail, by turns with others of the same nodes that succeed", v.share*100, f.name)}}
	return v, true
}

// byTurns: losses and answers come in the same periods, not one after the other.
func byTurns(losses [][]pairKey, answers []bool) bool {
	n := 0
	for i := range losses {
		if len(losses[i]) > 0 && answers[i] {
			n++
		}
	}
	return n >= 5
}

// spread: in several periods there were losses that no two nodes have in common,
// more than agents restart at a time, or nearly all periods have some, half of them
// of more than one node, or in most of them the same node has; hub is that node. In the smallest clusters any two nodes have all in common.
func spread(buckets [][]pairKey, nodes int) (hub string, ok bool) {
	wide, several, filled := 0, 0, 0
	hubs := map[string]int{}
	for _, b := range buckets {
		if len(b) == 0 {
			continue
		}
		filled++
		node, _ := busiest(b)
		if rest := without(b, node); len(rest) == 0 {
			hubs[node]++
			continue
		}
		several++
		if nodes < 5 || !coveredByTwo(edges(b)) {
			wide++
		}
	}
	if nodes < 4 {
		return "", filled >= len(buckets)-2
	}
	if wide >= 4 || filled >= len(buckets)-2 && several*2 >= len(buckets) {
		return "", true
	}
	for node, n := range hubs {
		if n*3 >= len(buckets)*2 && n == filled {
			return node, true
		}
	}
	return "", false
}

// lossShare is the share of exchanges that failed lately, of a node's when one is
// given. Heartbeats count the uneventful exchanges too and are preferred.
func (f *family) lossShare(now time.Time, hub string) (share float64, ok bool) {
	okay, failed := 0, 0
	for _, t := range f.totals {
		if now.Sub(t.To) < lossBucket*lossBuckets && (hub == "" || t.Node == hub) {
			okay, failed = okay+t.OK+t.Masked, failed+t.Lost
		}
	}
	const enough = 60
	return float64(failed) / float64(max(1, okay+failed)), okay+failed >= enough
}

func (f *family) latest() time.Time {
	var t time.Time
	for _, h := range f.heard {
		if h.After(t) {
			t = h
		}
	}
	return t
}
