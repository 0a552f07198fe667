package plan

import (
	"fmt"
	"sort"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/datapath"
	"github.com/remediate-dev/remediate/detect/snapshot"
)

// masqueradePaths are the Helm values that can change who is masqueraded. States
// that differ elsewhere only are the same state for this fault.
func masqueradePaths() []string {
	out := []string{masqAgentPath + ".nonMasqueradeCIDRs"}
	for _, name := range cilium.FailingPathKeys(cilium.PartMasquerade) {
		f, _ := cilium.FlagByName(name)
		if len(f.Helm) == 1 {
			out = append(out, f.Helm[0])
		}
	}
	sort.Strings(out)
	return out
}

// pathState is a state reduced to what the failing path depends on.
func (p *planner) pathState(values map[string]any) string {
	var b strings.Builder
	for _, path := range masqueradePaths() {
		fmt.Fprintf(&b, "%s=%v\n", path, p.effective(values, path))
	}
	return b.String()
}

// tried finds the newest committed state that equals values on the failing path.
func (p *planner) tried(values map[string]any) *v1alpha1.Tried {
	want := p.pathState(values)
	for _, s := range p.in.History {
		if p.pathState(s.Values) == want {
			return p.outcome(s)
		}
	}
	return nil
}

// triedKeys finds the newest committed state with these values set and the
// current ones not, whatever else it said.
func (p *planner) triedKeys(sets []Set) *v1alpha1.Tried {
	for _, s := range p.in.History {
		if len(sets) > 0 && p.holds(s.Values, sets) && !p.holds(p.in.Current.Values, sets) {
			return p.outcome(s)
		}
	}
	return nil
}

func (p *planner) holds(values map[string]any, sets []Set) bool {
	for _, s := range sets {
		if fmt.Sprint(p.effective(values, s.Path)) != fmt.Sprint(s.Value) {
			return false
		}
	}
	return true
}

// sameFlowsFail is the outcome of a state that did not help.
const sameFlowsFail = "the same flows fail under it"

// outcome judges a past state with the same rules and the same model.
func (p *planner) outcome(s State) *v1alpha1.Tried {
	t := &v1alpha1.Tried{Commit: s.Commit, Date: s.Date}
	cfg := p.configOf(s.Values)
	start := p.start(cfg)
	switch {
	case start.Starts == snapshot.No:
		r := start.First()
		t.Outcome = fmt.Sprintf("agents refused to start (%s: %s)", r.ID, r.Message)
	case p.stillBroken(cfg):
		t.Outcome = sameFlowsFail
	default:
		t.Outcome = "no flow of today's fails under it by the model"
	}
	return t
}

// configOf is the configuration that a past state stood for: its own values over
// the chart's defaults, nothing of today's.
func (p *planner) configOf(values map[string]any) cilium.Config {
	cfg := cilium.Config{Version: p.in.Current.Config.Version, Values: map[string]string{}}
	var sets []Set
	for _, path := range watchedPaths() {
		if v := p.effective(values, path); plain(v) {
			sets = append(sets, Set{Path: path, Value: v})
		}
	}
	return withoutIdleList(Overlay(cfg, sets), values)
}

// stillBroken: the current failures are failures under cfg too.
func (p *planner) stillBroken(cfg cilium.Config) bool {
	m, err := p.model(cfg)
	if err != nil {
		return true
	}
	return datapath.Compare(p.before, m.Analyse()).Fixed == 0
}
