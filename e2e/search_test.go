//go:build e2e && linux

package e2e

import (
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	agent "github.com/remediate-dev/remediate/detect/cilium"
	"github.com/remediate-dev/remediate/e2e/matrix"
	"github.com/remediate-dev/remediate/e2e/search"
	"github.com/remediate-dev/remediate/internal/testbed/cilium"
)

// What TestSearch reads of its environment.
const (
	// searchTime is how long to search, "2h"; without it there is one small bed.
	searchTime = "REMEDIATE_SEARCH"
	// searchSeed is a number that draws everything; 1 without it.
	searchSeed = "REMEDIATE_SEARCH_SEED"
	// searchFound is the file that lines of what disagrees are added to; without it
	// they are in the test's log.
	searchFound = "REMEDIATE_SEARCH_FOUND"
)

// sizeOf a search: how much is drawn of each.
type sizeOf struct{ beds, states, sets, flows int }

var (
	small = sizeOf{beds: 1, states: 1, sets: 3, flows: 20}
	large = sizeOf{beds: math.MaxInt, states: 6, sets: 5, flows: 40}
)

// budget of a disagreement: a try of a policy takes a second or two, of a
// configuration the restart of agents.
var budget = search.Budget{Policies: 30, Configs: 8}

// TestSearch draws beds, configurations, policies and flows at random and holds the
// model against what real agents make of them. What disagrees is sent again and made
// small; see package search.
func TestSearch(t *testing.T) {
	s := newSearcher(t)
	for number := 1; number <= s.beds && !s.over(); number++ {
		t.Run(fmt.Sprintf("bed-%d", number), func(t *testing.T) { s.bed(t, uint64(number)) })
	}
	s.summary(t)
	for _, kinds := range []map[string]int{s.kinds, s.opens} {
		for _, kind := range slices.Sorted(maps.Keys(kinds)) {
			t.Logf("%d times: %s", kinds[kind], kind)
		}
	}
}

// searcher is a search over all beds.
type searcher struct {
	sizeOf
	seed    uint64
	release string
	ends    time.Time // zero for one that ends by its size
	told    time.Time
	found   string
	configs map[string]agent.Config

	built, states, sets, sent, open, hiccups, wrong int
	// kinds of disagreements, and opens of what was left open, by how often.
	kinds, opens map[string]int
}

// tellEvery is how often a long search says how far it is.
const tellEvery = 5 * time.Minute

func newSearcher(t *testing.T) *searcher {
	t.Helper()
	s := &searcher{sizeOf: small, seed: 1, found: os.Getenv(searchFound), told: time.Now(), configs: map[string]agent.Config{}, kinds: map[string]int{}, opens: map[string]int{}}
	s.release, _ = matrixRelease(t)
	if text := os.Getenv(searchSeed); text != "" {
		var err error
		if s.seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v: give a number", searchSeed, err)
		}
	}
	if text := os.Getenv(searchTime); text != "" {
		long, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("%s: %v: give it like 2h", searchTime, err)
		}
		s.sizeOf, s.ends = large, time.Now().Add(long)
	}
	return s
}

func (s *searcher) over() bool { return !s.ends.IsZero() && time.Now().After(s.ends) }

func (s *searcher) summary(t *testing.T) {
	t.Helper()
	s.told = time.Now()
	t.Logf("seed %d: %d beds, %d configurations, %d policy sets, %d flows: %d left open, %d as predicted only when sent again, %d disagree (%d kinds)",
		s.seed, s.built, s.states, s.sets, s.sent, s.open, s.hiccups, s.wrong, len(s.kinds))
}

// bed runs the cases of a bed.
func (s *searcher) bed(t *testing.T, number uint64) {
	b := &searchBed{searcher: s, number: number, draw: search.NewDraw(s.seed, number)}
	for state := 0; state < s.sizeOf.states && !s.over(); state++ {
		if err := b.draw.State(state == s.sizeOf.states-1, func(text string) bool { return b.starts(t, text) }); err != nil {
			t.Fatal(err)
		}
		c := b.draw.Case()
		if state == 0 {
			b.begin(t, &c)
		}
		if !b.enterState(t, &c) {
			continue
		}
		s.states++
		b.Log(t, fmt.Sprintf("configuration %d: %v", state+1, c.Nodes))
		for set := 0; set < s.sizeOf.sets && !s.over(); set++ {
			b.draw.Policies()
			b.draw.Flows(s.flows)
			b.try(t, b.draw.Case())
			s.sets++
			if time.Since(s.told) > tellEvery {
				s.summary(t)
			}
		}
	}
}

// render renders each configuration once.
func (s *searcher) render(t *testing.T, text string) agent.Config {
	t.Helper()
	if _, ok := s.configs[text]; !ok {
		s.configs[text] = cilium.RenderRelease(t, s.release, matrix.Base, text)
	}
	return s.configs[text]
}

// note writes a disagreement down.
func (s *searcher) note(t *testing.T, f *search.Found) {
	t.Helper()
	line, err := f.Line()
	if err != nil {
		t.Fatal(err)
	}
	if s.found == "" {
		t.Log(strings.TrimSpace(line))
		return
	}
	file, err := os.OpenFile(s.found, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(line); err != nil {
		t.Fatal(err)
	}
}
