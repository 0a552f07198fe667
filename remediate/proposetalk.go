package remediate

import (
	"context"
	"fmt"
	"slices"

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
	// alike are comments with a record that says nothing. Whose they are is asked
	// before ours is written, and not to find that there is nothing to write.
	alike []forge.Comment
	// commands are of people with write access, oldest first.
	commands []command
	// head is where the branch is.
	head string
	// adopted: head is ours, and the record does not say so yet.
	adopted bool
	// now is the state in one line, shown in our comment, and link an address that
	// it is about; empty: nothing to say.
	now, link string
	// lines and blocks say more about it.
	lines  []string
	blocks []report.StatusBlock
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
	var rest []forge.Comment
	for _, c := range comments {
		ours, err := x.recognise(ctx, t, c)
		if err != nil {
			return nil, err
		}
		if !ours {
			rest = append(rest, c)
		}
	}
	for _, c := range rest {
		if err := x.heed(ctx, t, c); err != nil {
			return nil, err
		}
	}
	t.commands = t.commands[max(0, len(t.commands)-maxCommands):]
	return t, nil
}

// recognise keeps a comment with a record, if it is ours or need not be.
func (x *proposal) recognise(ctx context.Context, t *talk, c forge.Comment) (bool, error) {
	s, marked := readStatus(c)
	switch {
	case !marked:
		return false, nil
	case !s.says() && len(commandsOf(c)) == 0:
		t.alike = append(t.alike, c)
		return true, nil
	}
	mine, err := x.Forge.Mine(ctx, t.pr, c)
	if mine && t.comment == nil {
		t.comment, t.status = &c, s
	}
	return mine, err
}

// heed takes the commands of a comment, if they were answered before, or if its
// author may give any.
func (x *proposal) heed(ctx context.Context, t *talk, c forge.Comment) error {
	commands := commandsOf(c)
	if !slices.ContainsFunc(commands, func(c command) bool { return !t.status.answered(c) }) {
		t.commands = append(t.commands, commands...)
		return nil
	}
	may, err := x.mayCommand(ctx, t.pr, c)
	if may {
		t.commands = append(t.commands, commands...)
	}
	return err
}

func commandsOf(c forge.Comment) []command {
	var out []command
	for i, cmd := range guard.ParseCommand(c.Body) {
		cmd.By, cmd.At, cmd.Comment = c.Author, c.At, c.ID
		out = append(out, command{cmd, fmt.Sprintf("%s.%d", c.ID, i)})
	}
	return out
}

// mayCommand: whoever may write to the repository, and whoever shares our
// credentials, as who opened the pull request is likely to.
func (x *proposal) mayCommand(ctx context.Context, pr forge.PullRequest, c forge.Comment) (bool, error) {
	if x.Hears != nil && !x.Hears(c.Author) {
		return false, nil
	}
	if c.Author == pr.Author {
		if mine, err := x.Forge.Mine(ctx, pr, c); err != nil || mine {
			return mine, err
		}
	}
	may, failed := x.canWrite(ctx, c.Author)
	if may {
		return true, nil
	}
	mine, err := x.Forge.Mine(ctx, pr, c)
	if err != nil || mine {
		return mine, err
	}
	return false, failed
}

// canWrite asks once about each user.
func (x *proposal) canWrite(ctx context.Context, user string) (bool, error) {
	if may, known := x.writers[user]; known {
		return may, nil
	}
	may, err := x.Forge.CanWrite(ctx, user)
	if err != nil && !forge.Is(err, forge.NotFound) {
		return false, err
	}
	x.writers[user] = may
	return may, nil
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
	if t.told(text) {
		return nil
	}
	if err := x.claim(ctx, t); err != nil || t.told(text) {
		return err
	}
	id := ""
	if t.comment != nil {
		id = t.comment.ID
	}
	c, err := x.Forge.Comment(ctx, t.pr, id, text)
	if err != nil {
		return err
	}
	t.comment = &c
	return nil
}

// told: the text stands there. Where it does not matter whose words they are,
// it is not asked.
func (t *talk) told(text string) bool {
	same := func(c forge.Comment) bool { return settled(c.Body) == settled(text) }
	if t.comment != nil {
		return same(*t.comment)
	}
	return len(t.alike) > 0 && !slices.ContainsFunc(t.alike, func(c forge.Comment) bool { return !same(c) })
}

// claim finds our comment among those that look like it.
func (x *proposal) claim(ctx context.Context, t *talk) error {
	for _, c := range t.alike {
		if t.comment != nil {
			break
		}
		mine, err := x.Forge.Mine(ctx, t.pr, c)
		if err != nil {
			return err
		}
		if mine {
			t.comment = &c
		}
	}
	t.alike = nil
	return nil
}

// tellIfNeeded keeps quiet while there is nothing to say and nothing was said.
func (x *proposal) tellIfNeeded(ctx context.Context, t *talk) error {
	if t.comment == nil && t.now == "" && !t.status.says() {
		if t.told(t.text()) {
			return nil
		}
		if err := x.claim(ctx, t); err != nil || t.comment == nil {
			return err
		}
	}
	return x.tell(ctx, t)
}

// text is our comment.
func (t *talk) text() string {
	o := report.StatusOptions{State: t.now, Link: t.link, History: t.lines, Blocks: t.blocks, Record: t.status.String()}
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
