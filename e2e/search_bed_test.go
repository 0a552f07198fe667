//go:build e2e && linux

package e2e

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	agent "github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/e2e/matrix"
	"github.com/remediate-dev/remediate/e2e/search"
	"github.com/remediate-dev/remediate/internal/testbed/cilium"
)

// searchBed is a random bed with real agents.
type searchBed struct {
	*searcher
	*bedRun
	number uint64
	draw   *search.Draw
}

// starts says whether an agent may start with a configuration, as far as the catalogue
// knows.
func (b *searchBed) starts(t *testing.T, text string) bool {
	t.Helper()
	start := agent.CheckStart(b.render(t, text))
	return start.Starts != snapshot.No && len(start.Datapath) == 0
}

// begin builds the bed under the case's configurations.
func (b *searchBed) begin(t *testing.T, c *search.Case) {
	t.Helper()
	b.bedRun = &bedRun{Bed: c.Bed, release: b.searcher.release}
	var configs [matrix.Nodes]agent.Config
	for n, text := range b.texts(t, c) {
		configs[n], b.running[n] = b.render(t, text), text
	}
	t.Logf("%s: %+v, %v", c.Bed.Name, c.Bed, c.Fixed)
	b.build(t, configs)
	b.built++
}

func (b *searchBed) texts(t *testing.T, c *search.Case) (out [matrix.Nodes]string) {
	t.Helper()
	for n := range out {
		text, err := c.Config(n)
		if err != nil {
			t.Fatal(err)
		}
		out[n] = text
	}
	return out
}

// enterState has the agents run with the case's configurations. It is false when one
// refuses its own.
func (b *searchBed) enterState(t *testing.T, c *search.Case) bool {
	t.Helper()
	if c.APIServer != b.api {
		b.setAPIServer(t, c.APIServer)
		b.running = [matrix.Nodes]string{} // agents that start know of it
	}
	errs := make([]error, len(b.Nodes))
	var wg sync.WaitGroup
	for i, text := range b.texts(t, c) {
		if b.running[i] == text {
			continue
		}
		cfg := b.render(t, text)
		b.running[i] = text
		wg.Go(func() { errs[i] = b.Nodes[i].Restart(cfg) })
	}
	wg.Wait()
	for i, err := range errs {
		if refused, ok := errors.AsType[*cilium.Refused](err); ok {
			b.refused(t, c, i, refused)
			errs[i] = nil
		}
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return !slices.Contains(b.running[:], "")
}

// refused is a start that the catalogue does not refuse.
func (b *searchBed) refused(t *testing.T, c *search.Case, n int, refused *cilium.Refused) {
	t.Helper()
	start := agent.CheckStart(b.render(t, b.running[n]))
	b.running[n] = ""
	kind := "the agent refuses: " + refused.Message + ": " + refused.Cause
	if start.Starts != snapshot.Yes {
		b.open++
		b.opens[kind]++
		return
	}
	b.wrong++
	b.kinds[kind]++
	f := search.Found{Kind: kind, Seed: b.seed, Bed: b.number, Flow: "start of " + b.Nodes[n].Name, Evidence: strings.Split(refused.Log, "\n")}
	if err := f.Describe(c); err != nil {
		t.Fatal(err)
	}
	b.note(t, &f)
	t.Error(kind)
}

// enterPolicies has the case's policies in force, and no others.
func (b *searchBed) enterPolicies(t *testing.T, c *search.Case) {
	t.Helper()
	var want []string
	for _, p := range c.Policies {
		text, err := p.YAML()
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, text)
	}
	for _, have := range b.policies {
		if !slices.Contains(want, have) {
			b.DeletePolicy(t, have)
		}
	}
	for _, text := range want {
		if !slices.Contains(b.policies, text) {
			b.ApplyPolicy(t, text)
		}
	}
	b.policies = want
}

// answer is what became of a flow, beside what the model says.
type answer struct {
	flow            matrix.Flow
	seen, predicted matrix.Outcome
	wrong, open     []string
	why             string
	evidence        []string
}

// ask brings the bed into a case's state and sends its flows; what a case's ends have
// no address for is not sent. It has no answers when an agent refuses to start.
func (b *searchBed) ask(t *testing.T, c search.Case) (out []answer) {
	t.Helper()
	if !b.enterState(t, &c) {
		return nil
	}
	b.enterPolicies(t, &c)
	s, err := b.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	flows := slices.DeleteFunc(slices.Clone(c.Flows), func(f matrix.Flow) bool {
		_, err := matrix.Traced(s, f)
		return err != nil
	})
	seen, err := b.SendAll(t.Context(), b.bedRun.flows(t, s, flows)...)
	if err != nil {
		t.Fatal(err)
	}
	configs := map[string]agent.Config{}
	for _, n := range b.Nodes {
		configs[n.Name] = n.Config()
	}
	model, err := b.Bed.Model(&matrix.Stage{APIServer: c.APIServer}, s, configs)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range flows {
		traced, err := matrix.Traced(s, f)
		if err != nil {
			t.Fatal(err)
		}
		result := model.Trace(traced)
		a := answer{flow: f, seen: outcome(f, seen[i]), predicted: matrix.Predicted(result), why: result.Reason + "; " + result.MasqueradeWhy, evidence: seen[i].Evidence}
		a.wrong, a.open = matrix.Diff(a.seen, a.predicted)
		out = append(out, a)
	}
	return out
}

// sendings of a flow that disagrees, in all: a busy machine loses packets too.
const sendings = 3

// try sends a case's flows, and those that disagree again.
func (b *searchBed) try(t *testing.T, c search.Case) {
	t.Helper()
	b.sent += len(c.Flows)
	for sending := 1; len(c.Flows) > 0; sending++ {
		var wrong []answer
		for _, a := range b.ask(t, c) {
			switch {
			case len(a.wrong) > 0:
				wrong = append(wrong, a)
			case sending > 1:
				b.hiccups++
			case len(a.open) > 0:
				b.open++
				b.opens[search.Kind(a.flow, a.open)+": "+a.why]++
			}
		}
		if sending == sendings {
			b.reportAll(t, c, wrong)
			return
		}
		c.Flows = nil
		for _, a := range wrong {
			c.Flows = append(c.Flows, a.flow)
		}
	}
}

func (b *searchBed) reportAll(t *testing.T, c search.Case, wrong []answer) {
	t.Helper()
	for _, a := range wrong {
		b.wrong++
		one := c
		one.Flows = []matrix.Flow{a.flow}
		b.report(t, one, a)
	}
}

// examples is how many disagreements of a kind are written down; the first is made
// small.
const examples = 4

func (b *searchBed) report(t *testing.T, c search.Case, a answer) {
	t.Helper()
	kind := search.Kind(a.flow, a.wrong)
	b.kinds[kind]++
	if b.kinds[kind] > examples {
		return
	}
	f := search.Found{Kind: kind, Seed: b.seed, Bed: b.number, Shrunk: b.kinds[kind] == 1}
	if f.Shrunk {
		t.Errorf("%s: %s", a.flow, kind)
		c, a = b.shrink(t, c, a)
	}
	f.Flow, f.Seen, f.Predicted, f.Why, f.Evidence = a.flow.String(), a.seen, a.predicted, a.why, a.evidence
	if err := f.Describe(&c); err != nil {
		t.Fatal(err)
	}
	b.note(t, &f)
}

// shrink takes away what the disagreement of a case's only flow does not need. It ends
// with the bed in another state than it began.
func (b *searchBed) shrink(t *testing.T, c search.Case, a answer) (search.Case, answer) {
	t.Helper()
	kind := search.Kind(a.flow, a.wrong)
	small, err := search.Shrink(c, budget, func(try search.Case) (bool, error) {
		for _, text := range b.texts(t, &try) {
			if !b.starts(t, text) {
				return false, nil
			}
		}
		for _, now := range b.ask(t, try) {
			if search.Kind(now.flow, now.wrong) == kind && len(now.wrong) > 0 {
				a = now
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return small, a
}
