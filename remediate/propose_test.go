package remediate

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/snapshot"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/gitops/source"
	"github.com/remediate-dev/remediate/remediate/guard"
)

// still is a stage without a server.
func still() *stage {
	return &stage{confidence: v1alpha1.ConfidenceConfirmed, severity: v1alpha1.SeverityCritical}
}

func TestBranchNames(t *testing.T) {
	for _, tt := range []struct{ cluster, want string }{
		{"prod", "remediate/prod/sig-01234567"},
		{"a/b c..d.lock", "remediate/a-b-c.d/sig-01234567"},
		{"../..", "remediate/cluster/sig-01234567"},
		{"@{-1}~^:?*[", "remediate/1/sig-01234567"},
		{strings.Repeat("x", 300), "remediate/" + strings.Repeat("x", maxRefPart) + "/sig-01234567"},
		{"größe", "remediate/gr--e/sig-01234567"},
	} {
		got := branchName(tt.cluster, "sig", "01234567")
		if got != tt.want {
			t.Errorf("%q gives %q, want %q", tt.cluster, got, tt.want)
		}
		if err := exec.Command("git", "check-ref-format", "--branch", got).Run(); err != nil {
			t.Errorf("git does not take %q: %v", got, err)
		}
	}
}

// The change's hash is of what is set, the facts' of what a refusal rests on.
func TestHashes(t *testing.T) {
	base := still().resultOf(stageSource, "a")
	first := intents(&base.Plan, "main")[0]
	tests := []struct {
		name                 string
		change               func(*stage, *v1alpha1.Plan)
		changes, facts, plan bool // whether the hash becomes another
	}{
		{"nothing", func(*stage, *v1alpha1.Plan) {}, false, false, false},
		{"revision, repository and outcome", func(_ *stage, p *v1alpha1.Plan) {
			p.Subject.Revision, p.Subject.Repository, p.PullRequest = "b", "x", &v1alpha1.PullRequestOutcome{}
		}, false, false, false},
		{"a new node", func(_ *stage, p *v1alpha1.Plan) { p.Facts.PodCIDRs = []v1alpha1.Fact{{Value: "fd00::/64"}} }, false, false, true},
		{"an observed pool", func(_ *stage, p *v1alpha1.Plan) {
			yes := true
			p.Facts.PodPool = append(p.Facts.PodPool, v1alpha1.Fact{Value: "fd00::/60", ObservedOnly: &yes})
		}, false, false, true},
		{"a stated pool", func(_ *stage, p *v1alpha1.Plan) {
			p.Facts.PodPool = append(p.Facts.PodPool, v1alpha1.Fact{Value: "fd00::/60"})
		}, false, true, true},
		{"service CIDRs", func(_ *stage, p *v1alpha1.Plan) { p.Facts.ServiceCIDRs = []v1alpha1.Fact{{Value: "fd00::/108"}} }, false, true, true},
		{"version", func(_ *stage, p *v1alpha1.Plan) { p.Subject.Version = "1.19.0" }, false, true, true},
		{"confidence", func(_ *stage, p *v1alpha1.Plan) { p.Findings[0].Confidence = v1alpha1.ConfidencePossible }, false, true, true},
		{"the value now", func(_ *stage, p *v1alpha1.Plan) { p.Candidates[0].Changes[0].From = "fd00::/16" }, false, true, true},
		{"the file", func(_ *stage, p *v1alpha1.Plan) { p.Candidates[0].Changes[0].File = "b.yaml" }, false, false, true},
		{"the new value", func(_ *stage, p *v1alpha1.Plan) { p.Candidates[0].Changes[0].To = "fd00::/16" }, true, false, true},
		{"the release", func(_ *stage, p *v1alpha1.Plan) { p.Subject.Release = "a/b" }, true, false, true},
	}
	for _, tt := range tests {
		g := still()
		res := g.resultOf(stageSource, "a")
		tt.change(g, &res.Plan)
		in := intents(&res.Plan, "main")[0]
		if got := in.change != first.change; got != tt.changes {
			t.Errorf("%s: another change: %v", tt.name, got)
		}
		if got := in.facts != first.facts; got != tt.facts {
			t.Errorf("%s: other facts: %v", tt.name, got)
		}
		if got := in.plan != first.plan; got != tt.plan {
			t.Errorf("%s: another plan: %v", tt.name, got)
		}
	}
	if len(first.change) != 8 || intents(&base.Plan, "other")[0].change == first.change {
		t.Errorf("change %q", first.change)
	}
}

func testRecord() record {
	return record{Version: 1, Signature: "sig", Cluster: "main", Candidate: "c --> d", Change: "01234567",
		Base: strings.Repeat("a", 40), Head: strings.Repeat("b", 40), Unknown: []string{"x --> <b>"}}
}

func TestReadRecord(t *testing.T) {
	good := testRecord()
	branch := branchName("main", "sig", "01234567")
	short := good
	short.Head = "bbbb"
	other := good
	other.Cluster = "elsewhere"
	tests := []struct {
		name string
		pr   forge.PullRequest
		want bool
	}{
		{"ours", forge.PullRequest{Branch: branch, Body: "text\n\n" + good.String() + "\n"}, true},
		{"the last one counts", forge.PullRequest{Branch: branch, Body: other.String() + good.String()}, true},
		{"quoted above", forge.PullRequest{Branch: branch, Body: good.String() + other.String()}, false},
		{"a fork's", forge.PullRequest{Branch: branch, Fork: true, Body: good.String()}, false},
		{"another branch", forge.PullRequest{Branch: "main", Body: good.String()}, false},
		{"another cluster's", forge.PullRequest{Branch: branch, Body: other.String()}, false},
		{"no hash", forge.PullRequest{Branch: branch, Body: short.String()}, false},
		{"none", forge.PullRequest{Branch: branch, Body: "<!-- remediate -->"}, false},
		{"cut", forge.PullRequest{Branch: branch, Body: good.String()[:60]}, false},
		{"no JSON", forge.PullRequest{Branch: branch, Body: recordMark + "]" + markEnd}, false},
		{"huge", forge.PullRequest{Branch: branch, Body: recordMark + strings.Repeat(" ", maxRecord) + "}" + markEnd}, false},
		{"another version", forge.PullRequest{Branch: branch, Body: strings.Replace(good.String(), `"v":1`, `"v":2`, 1)}, false},
	}
	for _, tt := range tests {
		r, ok := readRecord(tt.pr)
		if ok != tt.want || ok && (r.Candidate != "c --> d" || r.Unknown[0] != "x --> <b>") {
			t.Errorf("%s: %v %+v", tt.name, ok, r)
		}
	}
}

func FuzzReadRecord(f *testing.F) {
	f.Add("text "+testRecord().String(), branchName("main", "sig", "01234567"))
	f.Add(status{Version: 1, Closing: closedGone}.String(), "x")
	f.Fuzz(func(t *testing.T, body, branch string) {
		if r, ok := readRecord(forge.PullRequest{Body: body, Branch: branch}); ok {
			again, ok := readRecord(forge.PullRequest{Body: r.String(), Branch: branch})
			if !ok || again.String() != r.String() {
				t.Errorf("%+v reads back as %+v, %v", r, again, ok)
			}
		}
		readStatus(forge.Comment{Body: body})
		_ = textHash(body)
	})
}

func TestReadStatus(t *testing.T) {
	s := status{Version: 1, Closing: closedGone, Done: true}
	if got, ok := readStatus(forge.Comment{Body: "text\n" + s.String()}); !ok || got.Closing != closedGone || !got.Done {
		t.Errorf("%+v, %v", got, ok)
	}
	s.Closing = "because"
	if _, ok := readStatus(forge.Comment{Body: s.String()}); ok {
		t.Error("an unknown closing word is believed")
	}
}

// Every command is remembered, and the record stays small.
func TestStatusRemembers(t *testing.T) {
	s := status{Version: 1}
	for i := range maxCommands {
		c := command{guard.Command{Verb: guard.Reject, Arg: strings.Repeat("<", 300), By: strings.Repeat("x", 300)}, strings.Repeat("1", 10) + "." + string(rune('A'+i))}
		s.note(c, "done %d", i)
		s.note(c, "done again")
	}
	if len(s.Log) != maxCommands || s.Log[0].Done != "" || s.Log[maxCommands-1].Done == "" {
		t.Errorf("%d entries, %+v", len(s.Log), s.Log[0])
	}
	if text := (&talk{status: s}).text(); len(text) > forge.MaxBody {
		t.Errorf("%d bytes", len(text))
	}
	if got, ok := readStatus(forge.Comment{Body: (&talk{status: s}).text()}); !ok || len(got.Log) != maxCommands {
		t.Errorf("it reads back as %v, %d entries", ok, len(got.Log))
	}
}

func TestLessKnown(t *testing.T) {
	long := strings.Repeat("ä", maxFact)
	r := record{Unknown: shortened([]string{"b", "a", "a", long})}
	if got := r.lessKnown([]string{"a", long}); got != nil {
		t.Errorf("lost %q", got)
	}
	if got := r.lessKnown([]string{"a", "c"}); !slices.Equal(got, []string{"c"}) {
		t.Errorf("lost %q", got)
	}
}

func TestTextHash(t *testing.T) {
	r := testRecord().String()
	if textHash("a\nb\n\n"+r) != textHash("a \r\nb\r\n"+r+"\r\n") {
		t.Error("line ends count")
	}
	if textHash("a\n"+r) == textHash("b\n"+r) {
		t.Error("words do not count")
	}
}

func TestWrote(t *testing.T) {
	us := author(v1alpha1.CommitSpec{})
	message := "fix: x\n\nbody\n\nRemediation-Signature: sig\nRemediation-Plan: abc\n"
	good := repo.Commit{Parents: []string{"p"}, Committer: us, Message: message}
	tests := []struct {
		name   string
		change func(*repo.Commit)
		want   bool
	}{
		{"ours", func(*repo.Commit) {}, true},
		{"amended by a person", func(c *repo.Commit) { c.Committer.Name = "Wilma" }, false},
		{"a merge", func(c *repo.Commit) { c.Parents = []string{"p", "q"} }, false},
		{"another cause", func(c *repo.Commit) { c.Message = strings.Replace(message, "sig", "gis", 1) }, false},
		{"trailers in the text only", func(c *repo.Commit) { c.Message = message + "\nmore\n" }, false},
		{"no plan", func(c *repo.Commit) { c.Message = strings.Replace(message, "Plan", "Plane", 1) }, false},
	}
	x := &proposal{Proposer: &Proposer{}}
	for _, tt := range tests {
		c := good
		tt.change(&c)
		if got, err := x.wrote(t.Context(), c, "sig"); got != tt.want || err != nil {
			t.Errorf("%s: %v, %v", tt.name, got, err)
		}
	}
}

func TestCommitMessage(t *testing.T) {
	res := still().resultOf(stageSource, "a")
	res.Plan.Candidates[1].Tried = &v1alpha1.Tried{Commit: "abc123"}
	res.Plan.Rejected = []v1alpha1.Rejected{{ID: "off", Tried: &v1alpha1.Tried{Commit: "def456"}}}
	in := intents(&res.Plan, "main")[0]
	spec := v1alpha1.CommitSpec{SignOff: true, Author: v1alpha1.CommitUser{Name: "bot", Email: "bot@example.org"}}
	message, err := commitMessage(&res.Plan, in, spec)
	if err != nil {
		t.Fatal(err)
	}
	parse := exec.Command("git", "interpret-trailers", "--parse")
	parse.Stdin = strings.NewReader(message)
	got, err := parse.Output()
	want := "Remediation-Signature: " + stageSig + "\nRemediation-Plan: " + in.plan + "\nRemediation-Tried: off@def456\nRemediation-Tried: widen-aligned@abc123\nSigned-off-by: bot <bot@example.org>\n"
	if err != nil || string(got) != want {
		t.Errorf("trailers %q, %v", got, err)
	}
	if !strings.HasPrefix(message, "fix(cilium): ") {
		t.Errorf("message %q", message)
	}
	spec.MessageTemplate = "{{ .Values.prefix }} {{ .Candidate }} on {{ .Cluster }}\n\n{{ range .Changes }}{{ .Path }}: {{ .From }} to {{ .To }}\n{{ end }}"
	spec.MessageTemplateValues = map[string]string{"prefix": "net:"}
	message, err = commitMessage(&res.Plan, in, spec)
	if err != nil || !strings.HasPrefix(message, "net: widen on main\n\nipv6NativeRoutingCIDR: fd00:101::/48 to fd00:101::/38\n") {
		t.Errorf("message %q, %v", message, err)
	}
	spec.MessageTemplate = "{{ .Nonsense }}"
	if _, err := commitMessage(&res.Plan, in, spec); err == nil || !strings.Contains(err.Error(), "commit.messageTemplate: ") || strings.Contains(err.Error(), "struct") {
		t.Errorf("an unknown field: %v", err)
	}
	// It is found before any server is asked.
	p := &Proposer{Remote: &repo.Remote{URL: "https://127.0.0.1:1/a/b"}, Cluster: "main", Spec: v1alpha1.PullRequestSpec{Commit: spec}}
	if _, err := p.Propose(t.Context(), res, ""); err == nil || !strings.Contains(err.Error(), "commit.messageTemplate: ") {
		t.Errorf("a template that fails: %v", err)
	}
}

func TestBundle(t *testing.T) {
	res := still().resultOf(stageSource, "a")
	files, err := Bundle(res, "widen-aligned", v1alpha1.PullRequestSpec{}, "main", time.Unix(1_800_000_000, 0).UTC())
	if err != nil || len(files) != 2 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	if text := string(files["pull-request.md"]); !strings.HasPrefix(text, "# fix(cilium): ") || strings.Contains(text, "<!--") || strings.Contains(text, "/remediate ") {
		t.Errorf("text %s", text)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, filepath.FromSlash(stageFile)), stageSource)
	patch := filepath.Join(t.TempDir(), "0001.patch")
	write(t, patch, string(files["0001-widen-aligned.patch"]))
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"commit", "-qm", "first"}, {"am", "-q", patch}} {
		c := exec.Command("git", args...)
		c.Dir = dir
		c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(stageFile)))
	if err != nil || !strings.Contains(string(got), stageOther) {
		t.Errorf("applied: %q, %v", got, err)
	}
	for _, bad := range []struct{ src, id string }{{stageSource, "nonsense"}, {strings.Replace(stageSource, stageBad, stageFix, 1), ""}} {
		if _, err := Bundle(still().resultOf(bad.src, "a"), bad.id, v1alpha1.PullRequestSpec{}, "main", time.Now()); err == nil {
			t.Errorf("%+v gives a bundle", bad)
		}
	}
}

func TestFreeze(t *testing.T) {
	set := func(d snapshot.DaemonSet) snapshot.Fact[snapshot.DaemonSet] {
		return snapshot.Known(d, "DaemonSet kube-system/cilium")
	}
	release := &source.Release{Namespace: "kube-system", Name: "cilium", Kustomizations: []string{"Kustomization flux-system/net (a.yaml:1, spec.path ./net)"}}
	tests := []struct {
		name                 string
		snap                 *snapshot.Snapshot
		upgrading, suspended string
		nodes, notReady      int
	}{
		{name: "nothing known"},
		{name: "calm", snap: &snapshot.Snapshot{AgentDaemonSet: set(snapshot.DaemonSet{Generation: 2, Observed: 2, Desired: 3, Updated: 3})}},
		{name: "rolling", snap: &snapshot.Snapshot{AgentDaemonSet: set(snapshot.DaemonSet{Generation: 2, Observed: 2, Desired: 3, Updated: 1})}, upgrading: "1 of 3 agents updated"},
		{name: "not taken up", snap: &snapshot.Snapshot{AgentDaemonSet: set(snapshot.DaemonSet{Generation: 2, Observed: 1, Desired: 3, Updated: 3})}, upgrading: "not taken up"},
		{name: "release suspended", snap: &snapshot.Snapshot{Flux: []snapshot.FluxObject{{Kind: "HelmRelease", Namespace: "kube-system", Name: "cilium", Suspended: true}}}, suspended: "HelmRelease kube-system/cilium"},
		{name: "its Kustomization suspended", snap: &snapshot.Snapshot{Flux: []snapshot.FluxObject{{Kind: "Kustomization", Namespace: "flux-system", Name: "net", Suspended: true}}}, suspended: "Kustomization flux-system/net"},
		{name: "another suspended", snap: &snapshot.Snapshot{Flux: []snapshot.FluxObject{{Kind: "Kustomization", Namespace: "flux-system", Name: "ne", Suspended: true}}}},
		{name: "nodes", snap: &snapshot.Snapshot{Nodes: []snapshot.Node{{Ready: snapshot.Yes}, {Ready: snapshot.No}, {}}}, nodes: 2, notReady: 1},
	}
	for _, tt := range tests {
		got := (&Run{snapshot: tt.snap, release: release}).freezeOf()
		if !strings.Contains(got.Upgrading, tt.upgrading) || (got.Upgrading == "") != (tt.upgrading == "") || got.Suspended != tt.suspended || got.Nodes != tt.nodes || got.NotReady != tt.notReady {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

func TestChangesValue(t *testing.T) {
	inBlock := "data:\n  values.yaml: |\n    a: 1\n    b: 2\n"
	tests := []struct {
		name, before, after, path string
		want                      bool
	}{
		{"same", "a: 1\nb: 2\n", "a: 1\nb: 3\n", "a", false},
		{"other", "a: 1\n", "a: 2\n", "a", true},
		{"new", "b: 1\n", "a: 2\nb: 1\n", "a", true},
		{"gone", "a: 1\nb: 1\n", "b: 1\n", "a", true},
		{"never there", "b: 1\n", "b: 2\n", "a", false},
		{"deep", "a: {b: [1, 2]}\n", "a: {b: [1, 3]}\n", "a.b[1]", true},
		{"deep, another", "a: {b: [1, 2]}\n", "a: {b: [3, 2]}\n", "a.b[1]", false},
		{"second document", "b: 1\n---\na: 1\n", "b: 1\n---\na: 2\n", "a", true},
		{"inside a string", inBlock, strings.Replace(inBlock, "a: 1", "a: 9", 1), "a", true},
		{"inside a string, another", inBlock, strings.Replace(inBlock, "b: 2", "b: 9", 1), "a", false},
		{"env file", "A=1\nB=2\n", "A=3\nB=2\n", "A", true},
		{"env file, another", "A=1\nB=2\n", "A=1\nB=3\n", "A", false},
		{"unreadable", "a: 1\n", "a: [\n", "a", true},
	}
	for _, tt := range tests {
		if got := changesValue([]byte(tt.before), []byte(tt.after), tt.path); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if !changesValue([]byte("a: 1\n"), nil, "a") {
		t.Error("a deleted file changes nothing")
	}
}

func TestLimitsOf(t *testing.T) {
	zero, nine := 0, 9
	got := LimitsOf(v1alpha1.LimitsSpec{MaxOpen: &zero, MaxPerDay: &nine})
	if got.Mode != guard.Propose || got.MaxOpen != 0 || got.MaxPerDay != 9 || got.MaxNotReadyPercent != guard.DefaultLimits().MaxNotReadyPercent {
		t.Errorf("%+v", got)
	}
}

func TestProposeChecksItsInput(t *testing.T) {
	res := still().resultOf(stageSource, "a")
	good := Proposer{Remote: &repo.Remote{}, Cluster: "main"}
	for name, change := range map[string]func(*Proposer){
		"no remote":      func(p *Proposer) { p.Remote = nil },
		"no cluster":     func(p *Proposer) { p.Cluster = "" },
		"unknown method": func(p *Proposer) { p.Spec.Commit.Method = "push" },
		"unknown draft":  func(p *Proposer) { p.Spec.Draft = "maybe" },
		"API, no forge":  func(p *Proposer) { p.Spec.Commit.Method = methodAPI },
	} {
		p := good
		change(&p)
		if _, err := p.Propose(t.Context(), res, ""); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	if _, err := good.Propose(t.Context(), nil, ""); err == nil {
		t.Error("no plan passes")
	}
	if _, err := good.Propose(t.Context(), res, "nonsense"); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("an unknown candidate ends with %v", err)
	}
}
