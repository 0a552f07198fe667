package remediate

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/report"
)

const (
	methodPush = "Push"
	methodAPI  = "API"

	trailerSignature = "Remediation-Signature"
	trailerPlan      = "Remediation-Plan"
	trailerTried     = "Remediation-Tried"
)

// errNotOurs: the branch holds what somebody else committed.
var errNotOurs = errors.New("somebody else committed to the branch")

// author is who commits; an address below .invalid reaches nobody.
func author(c v1alpha1.CommitSpec) repo.Identity {
	id := repo.Identity{Name: c.Author.Name, Email: c.Author.Email}
	if id.Name == "" {
		id.Name = "remediate"
	}
	if id.Email == "" {
		id.Email = "noreply@remediate.invalid"
	}
	return id
}

// commitData is what a template of the commit message may use, beside .Values.
type commitData struct {
	// Subject and Body are the default message; Body is lines.
	Subject string
	Body    []string
	// Plan is the plan's hash, Candidate its id and Title what it does.
	Plan, Candidate, Title string
	Signature, Cluster     string
	Changes                []commitChange
}

// commitChange is one changed value, as text.
type commitChange struct{ Path, From, To, File string }

const defaultTemplate = "{{ .Subject }}\n\n{{ range .Body }}{{ . }}\n{{ end }}"

func commitMessage(p *v1alpha1.Plan, in intent, spec v1alpha1.CommitSpec) (string, error) {
	data := commitData{Plan: in.plan, Candidate: in.candidate.ID, Title: in.candidate.Title, Signature: in.signature, Cluster: in.cluster}
	subject, body := report.CommitSummary(p, in.candidate.ID)
	data.Subject, data.Body = subject, strings.Split(body, "\n")
	for _, c := range in.candidate.Changes {
		data.Changes = append(data.Changes, commitChange{c.Path, shown(c.Path, c.From), shown(c.Path, c.To), c.File})
	}
	template := spec.MessageTemplate
	if template == "" {
		template = defaultTemplate
	}
	message, err := repo.Message(repo.MessageOptions{
		Template: template, Values: spec.MessageTemplateValues, Data: data,
		SignOff: spec.SignOff && spec.Method != methodAPI, Author: author(spec), Trailers: trailers(p, in),
	})
	if err != nil && spec.MessageTemplate != "" {
		return "", &templateError{err}
	}
	return message, err
}

// templateError is about the template that a person wrote.
type templateError struct{ err error }

// Error leaves out how the data is declared.
func (e *templateError) Error() string {
	text, _, _ := strings.Cut(strings.TrimPrefix(e.err.Error(), "commit message: "), " in type struct")
	return "commit.messageTemplate: " + text
}

func (e *templateError) Unwrap() error { return e.err }

// Hint names what may stand in it.
func (e *templateError) Hint() string {
	return "it is a Go template with .Values, .Subject, .Body, .Plan, .Candidate, .Title, .Signature, .Cluster and .Changes"
}

// trailers tell a commit of ours, and what was tried before.
func trailers(p *v1alpha1.Plan, in intent) [][2]string {
	out := [][2]string{{trailerSignature, in.signature}, {trailerPlan, in.plan}}
	tried := map[string]bool{}
	for _, c := range p.Candidates {
		if c.Tried != nil {
			tried[c.ID+"@"+c.Tried.Commit] = true
		}
	}
	for _, r := range p.Rejected {
		if r.Tried != nil {
			tried[r.ID+"@"+r.Tried.Commit] = true
		}
	}
	for _, t := range slices.Sorted(maps.Keys(tried)) {
		out = append(out, [2]string{trailerTried, t})
	}
	return out
}

// trailer is the value of a trailer in the last paragraph of a message.
func trailer(message, key string) string {
	paragraphs := strings.Split(strings.TrimSpace(strings.ReplaceAll(message, "\r\n", "\n")), "\n\n")
	for line := range strings.SplitSeq(paragraphs[len(paragraphs)-1], "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && k == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// wrote says whether a commit is one that we made for a cause, and nobody
// changed since: whoever amends or rebases becomes its committer.
func (x *proposal) wrote(ctx context.Context, c repo.Commit, signature string) (bool, error) {
	if len(c.Parents) != 1 || trailer(c.Message, trailerSignature) != signature || trailer(c.Message, trailerPlan) == "" {
		return false, nil
	}
	if maker, ok := x.Forge.(forge.Committer); ok && x.Spec.Commit.Method == methodAPI {
		return maker.Made(ctx, c.Hash)
	}
	return c.Committer == author(x.Spec.Commit), nil
}

// built is a commit on the server.
type built struct {
	head, base string
	// found: it was there already; expected is what the branch was at otherwise.
	found    bool
	replaced bool
}

// build puts the change on top of the newest commit of base and points the
// branch to it. expect is where the branch is known to be, by us; empty when it
// is ours to look. It is [repo.ErrNoChange] when base has the change already,
// and errNotOurs when somebody else committed to the branch.
func (x *proposal) build(ctx context.Context, in intent, base, branch, expect string) (built, error) {
	if err := x.clone(ctx, base); err != nil {
		return built{}, err
	}
	message, err := commitMessage(&x.res.Plan, in, x.Spec.Commit)
	if err != nil {
		return built{}, err
	}
	c, err := x.tree.Commit(repo.CommitOptions{
		Files: x.res.files[in.candidate.ID], Message: message, Author: author(x.Spec.Commit), When: x.now, Signer: x.Signer,
	})
	if err != nil {
		return built{}, err
	}
	out := built{head: c.Hash, base: x.tree.Head().Hash}
	old, exists, err := x.existing(ctx, branch)
	ours := old.Hash == expect
	if err == nil && exists && !ours {
		ours, err = x.wrote(ctx, old, in.signature)
	}
	switch {
	case err != nil:
		return built{}, err
	case exists && !ours:
		return built{head: old.Hash}, errNotOurs
	case exists && old.Tree == c.Tree && slices.Equal(old.Parents, c.Parents) && trailer(old.Message, trailerPlan) == in.plan:
		out.head, out.found = old.Hash, true
		return out, nil
	case exists:
		expect, out.replaced = old.Hash, true
	default:
		expect = ""
	}
	out.head, err = x.push(ctx, c, in, branch, expect)
	return out, err
}

func (x *proposal) existing(ctx context.Context, branch string) (repo.Commit, bool, error) {
	refs, err := x.branches(ctx)
	if err != nil {
		return repo.Commit{}, false, err
	}
	if _, ok := refs.Branches[branch]; !ok {
		return repo.Commit{}, false, nil
	}
	return x.tree.Fetch(ctx, branch)
}

// push points the branch to the commit, or has the forge make one like it.
func (x *proposal) push(ctx context.Context, c repo.Commit, in intent, branch, expect string) (string, error) {
	if x.Spec.Commit.Method != methodAPI {
		x.say("pushing %s", branch)
		return c.Hash, x.explain(ctx, asConflict(branch, x.tree.Push(ctx, c.Hash, branch, expect)))
	}
	maker, ok := x.Forge.(forge.Committer)
	if !ok {
		return "", withHint(errors.New("this forge makes no commits for us"), "set commit.method to Push; commits made by the forge are a feature of GitHub")
	}
	if x.Spec.Commit.Author != (v1alpha1.CommitUser{}) || x.Spec.Commit.SignOff || x.Signer != nil {
		x.warn("commit.method API: the forge is author, committer and signer, so commit.author, commit.signOff and the signing key are left out")
	}
	x.say("asking the forge to commit to %s", branch)
	return maker.Commit(ctx, forge.Commit{
		Branch: branch, Parent: x.tree.Head().Hash, ParentTree: x.tree.Head().Tree, Expect: expect,
		Files: x.res.files[in.candidate.ID], Message: c.Message,
	})
}

// explain asks the forge about the repository when Git's words for a refusal
// leave open why: some say the same of an archived one as of a missing right.
func (x *proposal) explain(ctx context.Context, err error) error {
	var refused *repo.PushError
	if x.Forge == nil || !errors.As(err, &refused) || refused.Kind != repo.PushForbidden {
		return err
	}
	if _, why := x.repository(ctx); why != nil && !forge.Transient(why) {
		return why
	}
	return err
}

// warn adds a warning once.
func (x *proposal) warn(texts ...string) {
	for _, t := range texts {
		if t = clip(t, maxReply); !slices.Contains(x.out.Warnings, t) {
			x.out.Warnings = append(x.out.Warnings, t)
		}
	}
}

// asConflict makes a moved branch an error that is tried again.
func asConflict(branch string, err error) error {
	if errors.Is(err, repo.ErrMoved) {
		return &forge.Error{Kind: forge.Conflict, Op: "push " + branch, Hint: "it is tried again with what is there now", Err: err}
	}
	return err
}
