package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/remediate-dev/remediate/internal/report"
	"github.com/remediate-dev/remediate/remediate"
)

// talk is what a long command says on stderr while it runs: lines, on a terminal
// one line that changes, and questions.
type talk struct {
	a   *app
	in  io.Reader
	yes bool
	// live: stderr is a terminal, so a line can be written over.
	live bool

	mu    sync.Mutex
	shown int
	told  string
}

func newTalk(a *app, yes bool) *talk {
	f, ok := a.stderr.(*os.File)
	return &talk{a: a, in: os.Stdin, yes: yes, live: ok && term.IsTerminal(int(f.Fd()))}
}

func (t *talk) say(format string, args ...any) {
	t.clear()
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.a.stderr, "► %s\n", report.Line(fmt.Sprintf(format, args...)))
}

// clear takes the changing line away.
func (t *talk) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shown > 0 {
		fmt.Fprint(t.a.stderr, "\r\x1b[K")
		t.shown = 0
	}
}

// status shows how far the run has come: on a terminal as a line that changes, else
// one line for each stage.
func (t *talk) status(s remediate.Status) {
	if !t.live {
		t.stage(s)
		return
	}
	text := statusLine(s)
	if w := t.width() - 1; len(text) > w {
		text = text[:w]
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.a.stderr, "\r\x1b[K%s", text)
	t.shown = len(text)
}

func (t *talk) stage(s remediate.Status) {
	text := s.Stage
	if len(s.Why) > 0 {
		text += ": " + s.Why[0]
	}
	t.mu.Lock()
	same := text == t.told
	t.told = text
	t.mu.Unlock()
	if !same {
		t.say("%s", text)
	}
}

func (t *talk) width() int {
	if f, ok := t.a.stderr.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 20 {
			return w
		}
	}
	return 80
}

// statusLine is plain ASCII but for the mark, so that bytes are cells.
func statusLine(s remediate.Status) string {
	text := "  " + s.Stage
	if s.Heard > 0 || strings.HasPrefix(s.Stage, "listening") {
		text += fmt.Sprintf(": %d of %d heard", s.Heard, s.Want)
	} else if s.Want > 0 {
		text += fmt.Sprintf(": %d of %d run", s.Ready, s.Want)
	}
	if s.Left > 0 {
		text += fmt.Sprintf(", %ds left", int(s.Left/time.Second))
	}
	if len(s.Why) > 0 {
		text += " (" + s.Why[0] + ")"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}

// recent is how old a run's probes may be to be left alone with --yes: they may be
// somebody's who is still listening to them.
const recent = time.Hour

// asker puts questions to who sits at the terminal; nil where nobody does, unless
// --yes answers.
func (t *talk) asker() func(context.Context, remediate.Question) (bool, error) {
	f, ok := t.in.(*os.File)
	person := ok && term.IsTerminal(int(f.Fd())) && t.live
	switch {
	case t.yes:
		return func(_ context.Context, q remediate.Question) (bool, error) {
			return !q.Removes || time.Since(q.Started) > recent, nil
		}
	case !person:
		return nil
	}
	return t.ask
}

func (t *talk) ask(ctx context.Context, q remediate.Question) (bool, error) {
	t.clear()
	fmt.Fprintf(t.a.stderr, "? %s [y/N] ", report.Line(q.Text))
	answer := make(chan string, 1)
	// Reading from a terminal cannot be cut off; an interrupt ends the command, and
	// with it this.
	go func() {
		line, _ := bufio.NewReader(t.in).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(t.a.stderr)
		return false, ctx.Err()
	case a := <-answer:
		return a == "y" || a == "yes", nil
	}
}
