//go:build linux

package storytest

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
)

// soaks says whether there is time for what takes long.
func soaks() bool { return os.Getenv("REMEDIATE_SOAK") != "" }

// kills is how often the leader is killed: REMEDIATE_KILLS, or three times.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("REMEDIATE_KILLS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("REMEDIATE_KILLS is %q, want a number of kills", text)
	}
	return n
}

// killed plays stories with two replicas, whose leader is killed at random moments
// until that was often enough: each story has one pull request, one comment and the
// right verdict.
func (s *stage) killed(t *testing.T) {
	s.standby.start(t)
	defer s.standby.kill()
	k := &killer{replicas: []*process{s.proc, s.standby}, left: kills(t)}
	for n := 1; k.left > 0; n++ {
		before := k.left
		if !t.Run("story-"+strconv.Itoa(n), func(t *testing.T) {
			defer func() { s.meanwhile = nil; s.heal(t) }()
			k.inStory = 0
			k.next, s.meanwhile = time.Now().Add(k.pause()), func() { k.look(t) }
			s.playKilled(t)
		}) {
			return
		}
		if k.left == before {
			t.Fatalf("nobody was killed in story %d", n)
		}
	}
}

// playKilled is a whole story.
func (s *stage) playKilled(t *testing.T) {
	s.incident(t)
	s.settle(t)
	pr := s.onePR(t)
	commit := s.bed.Merge(t, pr.Number)
	s.wantOnce(t, commit)
}

// wantOnce: the commit is verified, and nothing was done twice.
func (s *stage) wantOnce(t *testing.T, commit string) {
	t.Helper()
	o := s.until(t, "verified", withVerdict(v1alpha1.VerdictVerified))
	if o.Status.Commit != commit || len(o.Status.Attempts) != 1 {
		t.Error(describe(o))
	}
	pr := s.onePR(t)
	if len(pr.Comments) != 1 || !has(strings.Join(pr.Comments, ""), string(v1alpha1.VerdictVerified)) {
		t.Errorf("comments %q", pr.Comments)
	}
	s.wantOne(t)
}

// wantOne: what agents that restart look like makes no Remediation of its own.
func (s *stage) wantOne(t *testing.T) {
	t.Helper()
	all, found := s.remediations(t), 0
	for i := range all {
		o := &all[i]
		switch {
		case o.Spec.Signature == flagship:
			found++
		case !slices.Contains(s.beside, o.Spec.Signature), o.Status.PullRequest != nil && o.Status.PullRequest.Number != 0:
			t.Error(describe(o))
		}
	}
	if found != 1 {
		t.Error(describeAll(all))
	}
}

// killer kills the leader now and then.
type killer struct {
	replicas []*process
	left     int
	// inStory is how many of the kills were in the story that is played.
	inStory int
	next    time.Time
}

// pause is long enough for a leader to be elected and get to work, and ends at any
// of its steps. Within a story pauses grow, as those before a restart in a cluster do:
// what has to be seen without a break for a while comes about at last.
func (k *killer) pause() time.Duration {
	return 5*time.Second + rand.N(10*time.Second*time.Duration(1+k.inStory))
}

func (k *killer) look(t *testing.T) {
	if k.left == 0 || time.Now().Before(k.next) {
		return
	}
	for _, p := range k.replicas {
		if !p.leads() {
			continue
		}
		k.left--
		k.inStory++
		p.kill()
		p.start(t)
		k.next = time.Now().Add(k.pause())
		t.Logf("killed; %d to go", k.left)
		return
	}
}
