package remediate

import (
	"context"
	"fmt"

	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/internal/report"
	"github.com/remediate-dev/remediate/remediate/guard"
)

// maxCommands bounds how many commands of one pull request are heeded, the newest.
const maxCommands = 100

// talk is a pull request with what was said below it.
type talk struct {
	pr forge.PullRequest
	// rec is the pull request's record; ours is false when there is none that is
	// to be believed.
	rec  record
	ours bool
	// comment is our one comment, if there is one, and status what it records.
	comment *forge.Comment
	status  status
	// commands are of people with write access, oldest first.
	commands []command
	// head is where the branch is.
	head string
	// adopted: head is ours, and the record does not say so yet.
	adopted bool
	// now is the state in one line, shown in our comment, and link an address that
	// it is about; empty: nothing to say.
	now, link string
	// replan and choose are commands that are yet to be carried out.
	replan *command
	choose *command
}

// command is a command with its place: the comment's id and its number in it.
type command struct {
	guard.Command
	id string
}

// look reads what was said below a pull request.
func (x *proposal) look(ctx context.Context, pr forge.PullRequest) (*talk, error) {
	t := &talk{pr: pr, head: pr.Head}
	t.rec, t.ours = readRecord(pr)
	t.status.Version = 1
	comments, err := x.Forge.Comments(ctx, pr)
	if err != nil {
		return nil, err
	}
	for i := range comments {
		c := &comments[i]
		if s, ok := readStatus(*c); ok {
			if t.comment == nil {
				t.comment, t.status = c, s
			}
			continue
		}
		found, err := x.heed(ctx, *c)
		if err != nil {
			return nil, err
		}
		t.commands = append(t.commands, found...)
	}
	t.commands = t.commands[max(0, len(t.commands)-maxCommands):]
	return t, nil
}

// heed reads the commands of a comment, if its author may write to the
// repository. Whoever shares our credentials may.
func (x *proposal) heed(ctx context.Context, c forge.Comment) ([]command, error) {
	var out []command
	for i, cmd := range guard.ParseCommand(c.Body) {
		cmd.By, cmd.At, cmd.Comment = c.Author, c.At, c.ID
		out = append(out, command{cmd, fmt.Sprintf("%s.%d", c.ID, i)})
	}
	if len(out) == 0 || c.Mine {
		return out, nil
	}
	may, known := x.writers[c.Author]
	if !known {
		var err error
		may, err = x.Forge.CanWrite(ctx, c.Author)
		if err != nil && !forge.Is(err, forge.NotFound) {
			return nil, err
		}
		x.writers[c.Author] = may
	}
	if !may {
		return nil, nil
	}
	return out, nil
}

// guards are the commands as the guard takes them.
func (t *talk) guards() []guard.Command {
	var out []guard.Command
	for _, c := range t.commands {
		out = append(out, c.Command)
	}
	return out
}

// past is the pull request as the guard takes it.
func (t *talk) past() guard.Past {
	return guard.Past{
		Number: t.pr.Number, URL: t.pr.URL, State: string(t.pr.State), Opened: t.pr.Opened, Ended: t.pr.Ended,
		Cluster: t.rec.Cluster, Signature: t.rec.Signature, Change: t.rec.Change, Facts: t.rec.Facts,
		ByUs: t.status.Closing != "" && t.status.Closing != closedRejected, Commands: t.guards(),
	}
}

// pending are the commands that nothing was done about yet.
func (t *talk) pending() []command {
	var out []command
	for _, c := range t.commands {
		if !t.status.did(c.id) {
			out = append(out, c)
		}
	}
	return out
}

// tell writes our one comment when it would say something else than it does.
func (x *proposal) tell(ctx context.Context, t *talk) error {
	text := t.text()
	id := ""
	if t.comment != nil {
		id = t.comment.ID
		if settled(t.comment.Body) == settled(text) {
			return nil
		}
	}
	c, err := x.Forge.Comment(ctx, t.pr, id, text)
	if err != nil {
		return err
	}
	c.Mine = true
	t.comment = &c
	return nil
}

// tellIfNeeded keeps quiet while there is nothing to say and nothing was said.
func (x *proposal) tellIfNeeded(ctx context.Context, t *talk) error {
	if t.comment == nil && t.now == "" && len(t.status.Log) == 0 && t.status.Closing == "" {
		return nil
	}
	return x.tell(ctx, t)
}

// text is our comment.
func (t *talk) text() string {
	o := report.StatusOptions{State: t.now, Link: t.link, Record: t.status.String()}
	if o.State == "" {
		o.State = "Open, and as it should be."
	}
	for _, r := range t.status.Log {
		if r.Done != "" {
			o.Replies = append(o.Replies, report.Reply{By: r.By, Asked: r.Asked, Done: r.Done})
		}
	}
	return report.StatusComment(o)
}
