package forgetest

import (
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

// SecretOf is a server that knows the Secrets of others than the bot; of a name
// that nobody has it is one that the server does not take.
type SecretOf interface {
	SecretOf(user string) map[string][]byte
}

// Forker is a server where people open pull requests of forks.
type Forker interface {
	// OpenForkPR opens one to the default branch as Reader, from a branch of that
	// name in a fork.
	OpenForkPR(t testing.TB, branch, title string) int
}

// Drafter is a server where Writer marks a pull request ready, or as a draft.
type Drafter interface {
	SetDraft(t testing.TB, number int, draft bool)
}

// Labeler is a server that lists the labels of the repository.
type Labeler interface {
	Labels(t testing.TB) []string
}

// Deleter is a server that can remove the repository.
type Deleter interface {
	Delete(t testing.TB)
}

// Run holds a forge to what package forge promises. start gives a new repository
// for each test, connect the forge of it with the Secret that the server shows.
//
// What a server cannot play, [Forker] and its like, is left out; a server that
// is not real should play all of it.
func Run(t *testing.T, start func(t *testing.T) forges.Server, connect func(t *testing.T, s forges.Server) forge.Forge) {
	t.Helper()
	for name, test := range tests() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			test(&bench{T: t, s: s, f: connect(t, s), connect: connect})
		})
	}
	for name, test := range map[string]func(*bench, Forker){"List with forks": listWithForks, "Find leaves forks out": findLeavesForksOut} {
		runWith(t, name, start, connect, test)
	}
	for name, test := range map[string]func(*bench, SecretOf){"wrong token": wrongToken, "reader's token": readersToken} {
		runWith(t, name, start, connect, test)
	}
	runWith(t, "Edit keeps what a human made of a draft", start, connect, editKeepsDraft)
	runWith(t, "labels are made once", start, connect, labelsOnce)
	runWith(t, "deleted repository", start, connect, deletedRepository)
}

func tests() map[string]func(*bench) {
	return map[string]func(*bench){
		"Find finds none":                    findsNone,
		"Open and Find":                      openAndFind,
		"Open twice":                         openTwice,
		"Open without a difference":          openWithoutDiff,
		"Open from an unknown branch":        openUnknownBranch,
		"Open again after it was closed":     openAgain,
		"Open a draft":                       openDraft,
		"Edit":                               edit,
		"a new commit on the branch":         newCommit,
		"Mark":                               mark,
		"Mark after a human took a label":    markAfterUnlabel,
		"Mark an unknown reviewer":           markUnknownReviewer,
		"Mark a reviewer":                    markReviewer,
		"Comments":                           comments,
		"whose comments are is asked once":   whoseIsAskedOnce,
		"Comment that is gone":               commentGone,
		"CanWrite":                           canWrite,
		"List":                               list,
		"Files and Read":                     filesAndRead,
		"Close":                              closeIt,
		"closed by a human":                  closedByHuman,
		"merged":                             merged,
		"branch deleted":                     branchDeleted,
		"largest body":                       largestBody,
		"hostile text":                       hostileText,
		"Repository":                         repositoryIs,
		"archived":                           archived,
		"renamed repository":                 renamed,
		"renamed default branch":             renamedDefault,
		"protected branch has pull requests": protected,
	}
}

func runWith[S any](t *testing.T, name string, start func(*testing.T) forges.Server, connect func(*testing.T, forges.Server) forge.Forge, test func(*bench, S)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		s := start(t)
		extra, ok := s.(S)
		if !ok {
			t.Logf("%s cannot play this", s.Kind())
			return
		}
		test(&bench{T: t, s: s, f: connect(t, s), connect: connect}, extra)
	})
}

// bench is a test with its repository.
type bench struct {
	*testing.T
	s       forges.Server
	f       forge.Forge
	connect func(*testing.T, forges.Server) forge.Forge
}

// other is the server seen with another Secret.
type other struct {
	forges.Server
	secret map[string][]byte
}

func (o other) Secret() map[string][]byte { return o.secret }

// as is the forge with another's Secret.
func (b *bench) as(who SecretOf, user string) forge.Forge {
	b.Helper()
	return b.connect(b.T, other{b.s, who.SecretOf(user)})
}

// branch is like those that are really used: it has slashes.
const branch = "remediate/prod-1/masquerade-cidr-0a1b2c3d"

// push makes a branch with a change of a file that is named after it.
func (b *bench) push(branch string) string {
	b.Helper()
	return b.s.Push(b, branch, map[string][]byte{branch + ".txt": []byte("value: new\n")})
}

func (b *bench) base() string {
	b.Helper()
	r, err := b.f.Repository(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return r.DefaultBranch
}

func (b *bench) request() forge.Request {
	b.Helper()
	return forge.Request{Title: "fix(cilium): the range", Body: "Why.\n\n<!-- remediate {\"v\":1} -->", Branch: branch, Base: b.base()}
}

// open pushes and opens with what change makes of the request.
func (b *bench) open(change func(*forge.Request)) forge.PullRequest {
	b.Helper()
	b.push(branch)
	q := b.request()
	if change != nil {
		change(&q)
	}
	pr, err := b.f.Open(b.Context(), q)
	if err != nil {
		b.Fatal(err)
	}
	return pr
}

// find gives the only pull request of the branch.
func (b *bench) find() forge.PullRequest {
	b.Helper()
	prs, err := b.f.Find(b.Context(), branch)
	if err != nil {
		b.Fatal(err)
	}
	if len(prs) != 1 {
		b.Fatalf("found %d pull requests, want 1: %+v", len(prs), prs)
	}
	return prs[0]
}

// shown is the only pull request as the administrator sees it.
func (b *bench) shown() forges.PR {
	b.Helper()
	prs := b.s.PRs(b)
	if len(prs) != 1 {
		b.Fatalf("there are %d pull requests, want 1: %+v", len(prs), prs)
	}
	return prs[0]
}

// fails wants an error of one of the kinds, with an operation and a hint and
// without anything of the Secret.
func (b *bench) fails(err error, kinds ...forge.Kind) {
	b.Helper()
	if err == nil {
		b.Fatalf("no error, want one of %v", kinds)
	}
	e := asError(err)
	if e == nil {
		b.Fatalf("error %T is none of package forge: %v", err, err)
	}
	ok := false
	for _, k := range kinds {
		ok = ok || e.Kind == k
	}
	if !ok {
		b.Errorf("kind %q, want one of %q: %v", e.Kind, kinds, err)
	}
	if e.Op == "" || e.Hint == "" {
		b.Errorf("operation %q, hint %q: the reader needs both (%v)", e.Op, e.Hint, err)
	}
	text := e.Error() + e.Hint
	if strings.ContainsAny(text, "\n\r\x1b\x00") {
		b.Errorf("the text is not one line: %q", text)
	}
	for key, secret := range b.s.Secret() {
		if key == "password" && strings.Contains(text, string(secret)) {
			b.Errorf("the password is in %q", text)
		}
	}
}

// recent is a time on the server's clock, which has seconds.
func recent(at time.Time) bool {
	d := time.Since(at)
	return d > -time.Minute && d < 10*time.Minute
}
