package collect

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/detect/probe"
)

func TestSilence(t *testing.T) {
	const beat = 10 * time.Second
	after := func(d time.Duration) time.Time { return start.Add(d) }
	target := func(m *Matrix, k Key, change func(*Target)) {
		p, _ := m.Probe(k)
		change(&p.Target)
		m.Put(p.Target, start)
	}
	down := errors.New("dial tcp 10.0.0.1:6443: connect: connection refused")
	tests := map[string]struct {
		do   func(*Matrix, Key)
		now  time.Duration
		want Reason // "" for none
	}{
		"heard a moment ago": {func(m *Matrix, k Key) {}, 29 * time.Second, ""},
		"its log was read and nothing is in it": {func(m *Matrix, k Key) {
			m.Read(k, nil, PathPoll, after(31*time.Second))
		}, 32 * time.Second, ReasonSilent},
		"its log was read too early": {func(m *Matrix, k Key) {
			m.Read(k, nil, PathPoll, after(29*time.Second))
		}, 32 * time.Second, ReasonUnread},
		"its log cannot be read": {func(m *Matrix, k Key) {
			m.Read(k, errors.New("node-1:10250: connection refused"), PathPoll, after(31*time.Second))
		}, 32 * time.Second, ReasonUnread},
		"its log could not be read and now can": {func(m *Matrix, k Key) {
			m.Read(k, errors.New("node-1:10250: connection refused"), PathPoll, after(31*time.Second))
			m.Read(k, nil, PathPoll, after(35*time.Second))
		}, 36 * time.Second, ReasonSilent},
		"the API server does not answer": {func(m *Matrix, k Key) {
			m.Read(k, nil, PathPoll, after(31*time.Second))
			m.APIFailed(down, after(40*time.Second))
		}, 10 * time.Minute, ReasonUnknown},
		"the API server answers again, the log is not read yet": {func(m *Matrix, k Key) {
			m.Read(k, nil, PathPoll, after(31*time.Second))
			m.APIFailed(down, after(40*time.Second))
			m.APIAnswered(after(10 * time.Minute))
		}, 601 * time.Second, ReasonUnread},
		"the API server answers again, the log is read": {func(m *Matrix, k Key) {
			m.APIFailed(down, after(40*time.Second))
			m.APIAnswered(after(10 * time.Minute))
			m.Read(k, nil, PathPoll, after(10*time.Minute+time.Second))
		}, 602 * time.Second, ReasonSilent},
		"deleted": {func(m *Matrix, k Key) { m.Gone(k, after(time.Second)) }, time.Minute, ReasonGone},
		"being deleted": {func(m *Matrix, k Key) {
			target(m, k, func(t *Target) { t.Deleted = true })
		}, time.Minute, ReasonGone},
		"its node is deleted": {func(m *Matrix, k Key) {
			m.DropNode("n-1")
			m.PutNode(Node{Name: "n-2", Ready: true})
		}, time.Minute, ReasonGone},
		"its node is being deleted": {func(m *Matrix, k Key) {
			m.PutNode(Node{Name: "n-1", Ready: true, Deleted: true})
		}, time.Minute, ReasonGone},
		"its node is not ready": {func(m *Matrix, k Key) {
			m.PutNode(Node{Name: "n-1"})
			m.Read(k, nil, PathPoll, after(50*time.Second))
		}, time.Minute, ReasonNodeNotReady},
		"its container does not run": {func(m *Matrix, k Key) {
			target(m, k, func(t *Target) { t.Waiting = "waiting: CrashLoopBackOff" })
			m.Read(k, nil, PathPoll, after(50*time.Second))
		}, time.Minute, ReasonNotRunning},
		"its node is drained": {func(m *Matrix, k Key) {
			m.PutNode(Node{Name: "n-1", Ready: true, Cordoned: true})
			target(m, k, func(t *Target) { t.Phase = "Succeeded" })
		}, time.Minute, ReasonDrained},
		"its node is cordoned and it runs": {func(m *Matrix, k Key) {
			m.PutNode(Node{Name: "n-1", Ready: true, Cordoned: true})
			m.Read(k, nil, PathPoll, after(50*time.Second))
		}, time.Minute, ReasonSilent},
		"it speaks again": {func(m *Matrix, k Key) {
			m.Read(k, nil, PathPoll, after(31*time.Second))
			m.Add(k, with(2), PathFollow, after(50*time.Second))
		}, time.Minute, ""},
		"only its old lines are read again": {func(m *Matrix, k Key) {
			m.Add(k, with(1), PathPoll, after(40*time.Second))
			m.Read(k, nil, PathPoll, after(40*time.Second))
		}, time.Minute, ReasonSilent},
		"another speaks in its name": {func(m *Matrix, k Key) {
			l := with(2)
			l.From.Pod = "p-2"
			m.Add(k, l, PathPoll, after(40*time.Second))
			m.Read(k, nil, PathPoll, after(40*time.Second))
		}, time.Minute, ReasonSilent},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m, k := one(Limits{Beat: beat})
			m.Add(k, with(1), PathFollow, start)
			tt.do(m, k)
			silent := m.Silent(after(tt.now))
			if tt.want == "" {
				if len(silent) != 0 {
					t.Fatalf("silent: %+v", silent)
				}
				return
			}
			if len(silent) != 1 || silent[0].Reason != tt.want {
				t.Fatalf("got %+v, want %s", silent, tt.want)
			}
			if s := silent[0]; s.Fault() != (tt.want == ReasonSilent) || s.Text == "" || !s.Since.Equal(start) && name != "only its old lines are read again" {
				t.Errorf("got %+v", s)
			}
		})
	}
}

func TestSilentFromTheStart(t *testing.T) {
	m, k := one(Limits{})
	if got := m.Silent(start.Add(29 * time.Second)); len(got) != 0 {
		t.Errorf("silent while it starts: %+v", got)
	}
	m.Read(k, nil, PathPoll, start.Add(35*time.Second))
	got := m.Silent(start.Add(36 * time.Second))
	if len(got) != 1 || !got[0].Fault() || got[0].Text != "pod ns/p-1 on node n-1 runs and never said anything" {
		t.Errorf("got %+v", got)
	}
}

func TestSilentAreInOrder(t *testing.T) {
	m := NewMatrix(Limits{})
	for i := range 20 {
		m.Put(Target{Key: Key{"ns", fmt.Sprintf("p-%02d", (i*7)%20)}, UID: "u", Phase: "Pending"}, start)
	}
	for i, s := range m.Silent(start.Add(time.Hour)) {
		if want := fmt.Sprintf("p-%02d", i); s.Probe.Pod != want || s.Reason != ReasonNotRunning {
			t.Errorf("%d: %s %s", i, s.Probe.Pod, s.Reason)
		}
	}
}

func TestTheAPIServersErrorIsPlain(t *testing.T) {
	m, _ := one(Limits{})
	m.APIFailed(errors.New("a\x1b[2Jb"), start)
	m.APIFailed(errors.New("again"), start.Add(time.Minute))
	if since, text := m.API(); !since.Equal(start) || text != "again" {
		t.Errorf("%s %q", since, text)
	}
	m.APIFailed(errors.New("a\x1b[2Jb"), start)
	if _, text := m.API(); text != "a?[2Jb" {
		t.Errorf("%q", text)
	}
	m.APIAnswered(start)
	if since, _ := m.API(); !since.IsZero() {
		t.Error("it still fails")
	}
}

func TestNotesAndRead(t *testing.T) {
	m, k := one(Limits{})
	m.Read(k, errors.New("no\x07"), PathPoll, start)
	if p, _ := m.Probe(k); p.Wrong != "no?" || !p.Read.IsZero() {
		t.Errorf("probe %+v", p)
	}
	l := goodLine(func(l *probe.Line) { l.Notes = []string{"no membership"} })
	m.Add(k, l, PathDirect, start)
	if p, _ := m.Probe(k); p.Wrong != "" || p.Path != PathDirect || len(p.Notes) != 1 || !p.Noted.Equal(start) {
		t.Errorf("probe %+v", p)
	}
	m.Read(Key{"ns", "nobody"}, nil, PathPoll, start)
}
