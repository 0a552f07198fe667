package remediate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/testbed/forges"
)

// BenchmarkPropose opens pull requests in a repository of 100 MiB of history that
// does not compress, from a plan in hand: one of the base's newest commit, and one
// of the commit before, so that it is planned again in the clone. Each is opened
// by a process of its own and found unchanged by another.
//
// BenchmarkPropose/.../command is `remediate plan --open-pr` as it is.
func BenchmarkPropose(b *testing.B) {
	if text := os.Getenv(benchEnv); text != "" {
		benchChild(b, text)
		return
	}
	var gits atomic.Int64
	count := func(r *http.Request) {
		if strings.Contains(r.URL.Path, ".git/") {
			gits.Add(1)
		}
	}
	for name, start := range map[string]func(b *testing.B) forges.Server{
		"github": func(b *testing.B) forges.Server { s := forges.GitHub(b); s.Before(count); return s },
		"gitlab": func(b *testing.B) forges.Server { s := forges.GitLab(b); s.Before(count); return s },
		"gitea": func(b *testing.B) forges.Server {
			f := &forges.Faults{}
			f.Before(count)
			return forges.Gitea(b, f.Wrap)
		},
	} {
		b.Run(name, func(b *testing.B) {
			y := newYard(b, start(b), &gits)
			b.Run("same", func(b *testing.B) { y.measure(b, y.self(false)) })
			y.s.Push(b, "main", map[string][]byte{"docs/note.md": []byte("moved\n")})
			b.Run("again", func(b *testing.B) { y.measure(b, y.self(true)) })
			b.Run("command", func(b *testing.B) { y.measure(b, y.command(b)) })
		})
	}
}

// benchEnv holds the order of a child process, as JSON.
const benchEnv = "REMEDIATE_BENCH_PROPOSE"

// benchOrder is what a child needs to plan and to propose.
type benchOrder struct {
	Kind, URL, API, Cluster  string
	Secret                   map[string][]byte
	Repo, Snapshot, ChartDir string
	Replan                   bool
}

// benchResult is what it says: times in milliseconds by part, peak in KiB.
type benchResult struct {
	Action v1alpha1.PullRequestAction
	Number int
	Branch string
	Parts  map[string]float64
	Peak   float64
}

// yard is a forge with the large repository, a checkout of it, and what it takes
// to move it as a whole.
type yard struct {
	s         forges.Server
	git, api  *meter
	gits      *atomic.Int64
	order     benchOrder
	full      int64
	proposals int
}

func newYard(b *testing.B, s forges.Server, gits *atomic.Int64) *yard {
	b.Helper()
	incident := layIncident(b, examples.Default)
	y := &yard{s: s, gits: gits, git: newMeter(b, s.CloneURL()), api: newMeter(b, s.API())}
	y.order = benchOrder{Kind: s.Kind(), URL: y.git.url, API: y.api.url, Secret: s.Secret(), Snapshot: incident.Snapshot, ChartDir: incident.Chart}
	work := filepath.Join(b.TempDir(), "work")
	y.run(b, b.TempDir(), "clone", "--quiet", y.remote(), work)
	for i := range 25 {
		benchWrite(b, work, map[string][]byte{"media/blob": noise(uint64(i), 4<<20)})
		y.commit(b, work)
	}
	if err := os.Remove(filepath.Join(work, "media/blob")); err != nil {
		b.Fatal(err)
	}
	benchWrite(b, work, treeBelow(b, incident.Repo))
	benchWrite(b, work, houseFiles())
	y.commit(b, work)
	y.run(b, work, "push", "--quiet", "origin", "HEAD:main")
	y.order.Repo = filepath.Join(b.TempDir(), "checkout")
	y.git.moved.Store(0)
	y.run(b, b.TempDir(), "clone", "--quiet", y.remote(), y.order.Repo)
	y.full = y.git.moved.Swap(0)
	y.run(b, y.order.Repo, "remote", "set-url", "origin", y.git.url)
	return y
}

// remote is the address for the git program.
func (y *yard) remote() string {
	who := string(y.order.Secret["username"]) + ":" + string(y.order.Secret["password"])
	return strings.Replace(y.git.url, "://", "://"+who+"@", 1)
}

func (y *yard) run(b *testing.B, dir string, args ...string) {
	b.Helper()
	ca := filepath.Join(b.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, y.order.Secret["ca.crt"], 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("git", append([]string{"-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "core.compression=0", "-c", "http.postBuffer=400000000"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_SSL_CAINFO="+ca)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
}

func (y *yard) commit(b *testing.B, dir string) {
	b.Helper()
	y.run(b, dir, "add", "--all", "--force")
	y.run(b, dir, "commit", "--quiet", "--message", "work")
}

// self proposes by this very program.
func (y *yard) self(replan bool) func(*testing.B, string) benchResult {
	return func(b *testing.B, cluster string) (r benchResult) {
		order := y.order
		order.Cluster, order.Replan = cluster, replan
		text, err := json.Marshal(order)
		if err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkPropose$", "-test.benchtime=1x")
		cmd.Env = append(os.Environ(), benchEnv+"="+string(text))
		out, err := cmd.CombinedOutput()
		_, after, ok := bytes.Cut(out, []byte("proposed: "))
		if err == nil && ok {
			err = json.NewDecoder(bytes.NewReader(after)).Decode(&r)
		}
		if err != nil || !ok {
			b.Fatalf("%v\n%s", err, out)
		}
		return r
	}
}

// command builds the command and proposes by it. Its peak is taken by time(1).
func (y *yard) command(b *testing.B) func(*testing.B, string) benchResult {
	b.Helper()
	binary, secret := filepath.Join(b.TempDir(), "remediate"), b.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../cmd/remediate")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	benchWrite(b, secret, y.order.Secret)
	config := filepath.Join(b.TempDir(), "pr.yaml")
	if err := os.WriteFile(config, []byte("limits: {maxOpen: 0, maxPerDay: 0}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	return func(b *testing.B, cluster string) (r benchResult) {
		o := y.order
		cmd := exec.Command("/usr/bin/time", "-f", "peak: %M", binary, "plan", "--repo", o.Repo, "--snapshot", o.Snapshot, "--chart", o.ChartDir,
			"--git-url", o.URL, "--git-secret", secret, "--cluster", cluster, "--open-pr", "--pr-config", config, "--forge-url", o.API, "--forge", o.Kind, "-o", "json")
		var said bytes.Buffer
		cmd.Stderr = &said
		began := time.Now()
		out, err := cmd.Output()
		r.Parts = map[string]float64{"all": ms(time.Since(began))}
		var p v1alpha1.Plan
		if err == nil {
			err = json.Unmarshal(out, &p)
		}
		if err != nil || p.PullRequest == nil {
			b.Fatalf("%v\n%s", err, said.String())
		}
		r.Action, r.Number, r.Branch = p.PullRequest.Action, p.PullRequest.Number, p.PullRequest.Branch
		_, peak, _ := strings.Cut(said.String(), "peak: ")
		r.Peak, err = strconv.ParseFloat(strings.TrimSpace(peak), 64)
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
}

// measure opens one pull request each time, looks at it again, and closes it.
func (y *yard) measure(b *testing.B, propose func(b *testing.B, cluster string) benchResult) {
	got := map[string][]float64{}
	for b.Loop() {
		y.proposals++
		cluster := fmt.Sprintf("home-%d", y.proposals)
		r := y.step(b, got, "new", v1alpha1.PullRequestOpened, func() benchResult { return propose(b, cluster) })
		y.step(b, got, "unchanged", v1alpha1.PullRequestUnchanged, func() benchResult { return propose(b, cluster) })
		y.s.ClosePR(b, r.Number)
		y.s.DeleteBranch(b, r.Branch)
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		slices.Sort(got[name])
		b.ReportMetric(got[name][len(got[name])/2], name)
	}
	b.ReportMetric(0, "ns/op")
}

func (y *yard) step(b *testing.B, got map[string][]float64, name string, want v1alpha1.PullRequestAction, propose func() benchResult) benchResult {
	b.Helper()
	y.s.Requests()
	y.gits.Store(0)
	y.git.moved.Store(0)
	y.api.moved.Store(0)
	r := propose()
	if r.Action != want {
		b.Fatalf("%s: %+v", name, r)
	}
	note := func(what string, v float64) { got[name+"-"+what] = append(got[name+"-"+what], v) }
	for part, t := range r.Parts {
		note(part+"-ms", t)
	}
	note("peak-MiB", r.Peak/1024)
	note("api-requests", float64(y.s.Requests()))
	note("git-requests", float64(y.gits.Load()))
	moved := y.git.moved.Load()
	note("git-bytes", float64(moved))
	note("api-bytes", float64(y.api.moved.Load()))
	note("times-less", float64(y.full)/float64(moved))
	got["full-bytes"] = append(got["full-bytes"], float64(y.full))
	return r
}

// benchChild plans and proposes once.
func benchChild(b *testing.B, text string) {
	var o benchOrder
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		b.Fatal(err)
	}
	opts := Options{Repo: o.Repo, Snapshot: o.Snapshot, Chart: o.ChartDir}
	res, err := Plan(context.Background(), opts)
	if err != nil {
		b.Fatal(err)
	}
	f, remote := connectTo(b, orderedServer{o: o})
	none := 0
	p := &Proposer{Forge: f, Remote: remote, Cluster: o.Cluster, Spec: v1alpha1.PullRequestSpec{Limits: v1alpha1.LimitsSpec{MaxOpen: &none, MaxPerDay: &none}}}
	if o.Replan {
		p.Replan = func(ctx context.Context, dir string) (*Result, error) {
			opts := opts
			opts.Repo = dir
			return Plan(ctx, opts)
		}
	}
	w := newWatch()
	p.Progress = w.hear
	out, err := p.Propose(context.Background(), res, "")
	if err != nil {
		b.Fatal(err)
	}
	w.next("")
	w.parts["all"] = ms(time.Since(w.began))
	line, err := json.Marshal(benchResult{Action: out.Action, Number: out.Number, Branch: out.Branch, Parts: w.parts, Peak: peakKiB(b)})
	if err != nil {
		b.Fatal(err)
	}
	fmt.Printf("\nproposed: %s\n", line)
}

// orderedServer is a server as a child knows it.
type orderedServer struct {
	forges.Server
	o benchOrder
}

func (s orderedServer) Kind() string              { return s.o.Kind }
func (s orderedServer) CloneURL() string          { return s.o.URL }
func (s orderedServer) API() string               { return s.o.API }
func (s orderedServer) Secret() map[string][]byte { return s.o.Secret }

// watch takes the time between the messages of a proposal.
type watch struct {
	began, at time.Time
	part      string
	parts     map[string]float64
}

func newWatch() *watch {
	now := time.Now()
	return &watch{began: now, at: now, part: "look", parts: map[string]float64{}}
}

func (w *watch) hear(format string, _ ...any) {
	for start, part := range map[string]string{"cloning": "clone", "planning": "plan", "pushing": "push", "opening": "open"} {
		if strings.HasPrefix(format, start) {
			w.next(part)
		}
	}
}

func (w *watch) next(part string) {
	now := time.Now()
	w.parts[w.part] += ms(now.Sub(w.at))
	w.at, w.part = now, part
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// peakKiB is the most memory that this process has held.
func peakKiB(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseFloat(strings.Fields(after + " -")[0], 64)
	if err != nil {
		b.Fatal(err)
	}
	return kib
}

// noise is the same for a seed, and does not compress.
func noise(seed uint64, size int) []byte {
	out := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(out) // never fails
	return out
}

func benchWrite(b *testing.B, dir string, files map[string][]byte) {
	b.Helper()
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
}
