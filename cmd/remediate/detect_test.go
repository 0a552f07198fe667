package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	clientgo "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/detect/deploy"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/internal/report"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/internal/testbed/kubelet"
	"github.com/remediate-dev/remediate/remediate"
)

// The command as a process on a real API server, with stand-ins of the kubelets:
// what a signal leaves behind. `remember` and `unchanged` compare the cluster's
// objects, `until STATE` waits for namespace probes.
func TestDetectProcess(t *testing.T) {
	cfg := testbed.APIServer(t)
	k := kubelet.Start(t, cfg, kubelet.Options{Namespaces: []string{"probes"}})
	k.AddNodes(t, kubelet.Node{Name: "node-1"}, kubelet.Node{Name: "node-2"})
	cfg = rest.CopyConfig(cfg)
	cfg.QPS, cfg.Burst = 200, 400
	kube, err := clientgo.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := &processCluster{kube: kube}
	c.finalize(t)
	kubeconfig := testbed.Kubeconfig(t, cfg)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/detect",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("KUBECONFIG", kubeconfig)
			e.Setenv("USER", "tester")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"remember": func(ts *testscript.TestScript, _ bool, _ []string) { c.before = c.objects(ts) },
			"unchanged": func(ts *testscript.TestScript, _ bool, _ []string) {
				if after := c.objects(ts); !slices.Equal(c.before, after) {
					ts.Fatalf("before: %v\nafter: %v", c.before, after)
				}
			},
			"sigterm": func(ts *testscript.TestScript, _ bool, _ []string) {
				for _, run := range ts.BackgroundCmds() {
					ts.Check(run.Process.Signal(syscall.SIGTERM))
				}
			},
			"until": c.until,
			"wipe":  c.wipe,
		},
	})
}

type processCluster struct {
	kube   clientgo.Interface
	before []string
}

// finalize does what the controller of namespaces does once they are empty; one that
// is named in a ConfigMap "hold" waits.
func (c *processCluster) finalize(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
			ns, err := c.kube.CoreV1().Namespaces().Get(ctx, "probes", metav1.GetOptions{})
			if err != nil || ns.DeletionTimestamp == nil || c.held(ctx) {
				continue
			}
			ns.Spec.Finalizers = nil
			_, _ = c.kube.CoreV1().Namespaces().Finalize(ctx, ns, metav1.UpdateOptions{})
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func (c *processCluster) held(ctx context.Context) bool {
	_, err := c.kube.CoreV1().ConfigMaps("default").Get(ctx, "hold", metav1.GetOptions{})
	return err == nil
}

// objects of the namespace, and the namespaces.
func (c *processCluster) objects(ts *testscript.TestScript) []string {
	ctx := context.Background()
	var out []string
	list, err := c.kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	ts.Check(err)
	for _, ns := range list.Items {
		out = append(out, ns.Name)
	}
	daemons, err := c.kube.AppsV1().DaemonSets("").List(ctx, metav1.ListOptions{})
	ts.Check(err)
	for _, d := range daemons.Items {
		out = append(out, d.Namespace+"/"+d.Name)
	}
	secrets, err := c.kube.CoreV1().Secrets("").List(ctx, metav1.ListOptions{})
	ts.Check(err)
	for _, s := range secrets.Items {
		out = append(out, s.Namespace+"/"+s.Name)
	}
	return out
}

// until waits for the namespace ("made"), its pods ("running"), its removal
// ("terminating"), reads what was said ("read"), or holds the removal up ("hold") and lets it go ("release").
func (c *processCluster) until(ts *testscript.TestScript, _ bool, args []string) {
	ctx := context.Background()
	switch args[0] {
	case "hold":
		_, err := c.kube.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "hold"}}, metav1.CreateOptions{})
		ts.Check(err)
		return
	case "read": // what the command said; sooner it is the same interrupt
		time.Sleep(2 * together)
		return
	case "release":
		ts.Check(c.kube.CoreV1().ConfigMaps("default").Delete(ctx, "hold", metav1.DeleteOptions{}))
		return
	}
	for end := time.Now().Add(time.Minute); !c.is(ctx, args[0]); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("not %s within a minute", args[0])
		}
	}
}

func (c *processCluster) is(ctx context.Context, state string) bool {
	ns, err := c.kube.CoreV1().Namespaces().Get(ctx, "probes", metav1.GetOptions{})
	switch state {
	case "gone":
		return err != nil
	case "terminating":
		return err == nil && ns.DeletionTimestamp != nil
	case "running":
		d, err := c.kube.AppsV1().DaemonSets("probes").Get(ctx, deploy.Name, metav1.GetOptions{})
		return err == nil && d.Status.NumberReady == 2
	}
	return err == nil
}

// wipe removes what a killed run left, as the user is told to.
func (c *processCluster) wipe(ts *testscript.TestScript, _ bool, _ []string) {
	client := &deploy.Client{Kube: c.kube}
	found, err := client.Find(context.Background(), "")
	ts.Check(err)
	for _, i := range found {
		ts.Check(client.Remove(context.Background(), i.Namespace, i.Run, time.Minute))
	}
}

func TestDetectExitCodes(t *testing.T) {
	dir := t.TempDir()
	_, incident, err := examples.Lay(examples.Default, filepath.Join(dir, "incident"))
	if err != nil {
		t.Fatal(err)
	}
	_, healthy, err := examples.Lay("talos-ipv6-healthy", filepath.Join(dir, "healthy"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		want int
	}{
		{"something is confirmed", []string{"--snapshot", incident}, 2},
		{"nothing is", []string{"--snapshot", healthy}, 0},
		{"nothing could be checked", []string{"--snapshot", t.TempDir()}, 1},
		{"an error", []string{"--snapshot", filepath.Join(dir, "absent")}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if got := execute(t.Context(), append([]string{"detect", "--without-probes", "-o", "json"}, tt.args...), &out, &errs); got != tt.want {
				t.Errorf("exit code %d, want %d: %s", got, tt.want, errs.String())
			}
			var doc v1alpha1.DetectResult
			if tt.want != 1 && (json.Unmarshal(out.Bytes(), &doc) != nil || doc.Kind != "DetectResult") {
				t.Errorf("stdout is %q", out.String())
			}
			if tt.want == 1 && out.Len() > 0 {
				t.Errorf("an error and %q on stdout", out.String())
			}
		})
	}
}

// The next step is a command that can be typed as it stands, and never part of a
// document.
func TestNextStep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my incident")
	_, incident, err := examples.Lay(examples.Default, dir)
	if err != nil {
		t.Fatal(err)
	}
	want := "next: remediate plan --snapshot '" + incident + "'\n"
	for output, next := range map[string]bool{"text": true, "json": false} {
		var out, errs bytes.Buffer
		if code := execute(t.Context(), []string{"detect", "--without-probes", "--snapshot", incident, "-o", output}, &out, &errs); code != 2 {
			t.Fatalf("exit code %d: %s", code, errs.String())
		}
		if strings.HasSuffix(out.String(), want) != next || strings.Contains(out.String(), "next") != next {
			t.Errorf("-o %s ends in %q, want %q: %t", output, out.String()[max(0, out.Len()-200):], want, next)
		}
	}
	finding := func(id string) v1alpha1.Finding {
		return v1alpha1.Finding{Signature: id, Severity: v1alpha1.SeverityCritical, Confidence: v1alpha1.ConfidenceConfirmed}
	}
	tests := []struct {
		findings []v1alpha1.Finding
		plans    bool
		opts     remediate.Options
		want     string
	}{
		{nil, false, remediate.Options{ClusterName: "prod"}, ""},
		{[]v1alpha1.Finding{finding("cluster-dns-down"), finding("mtu-mismatch")}, false, remediate.Options{ClusterName: "prod"}, "remediate explain cluster-dns-down"},
		{[]v1alpha1.Finding{finding("x")}, true, remediate.Options{ClusterName: "admin@prod"}, "remediate plan --kubeconfig k --context admin@prod"},
		{[]v1alpha1.Finding{finding("x")}, true, remediate.Options{ClusterName: "it's; rm *", Repo: "~/r", Release: "a/b", ClusterPath: "c", Chart: "d"},
			`remediate plan --repo '~/r' --release a/b --cluster-path c --chart d --kubeconfig k --context 'it'\''s; rm *'`},
	}
	config := "k"
	a := &app{kube: &genericclioptions.ConfigFlags{KubeConfig: &config}}
	for _, tt := range tests {
		d := &report.Detection{Plans: tt.plans, Result: v1alpha1.DetectResult{Findings: tt.findings}}
		if got := a.nextStep(d, &tt.opts); got != tt.want {
			t.Errorf("got %s\nwant %s", got, tt.want)
		}
	}
}

// Who listens for the cover time of a large cluster need not think of
// the timeout.
func TestPatience(t *testing.T) {
	tests := []struct {
		listen, start, timeout time.Duration
		set                    string
		passive                bool
		want                   time.Duration // 0: an error
	}{
		{30 * time.Second, time.Minute, 5 * time.Minute, "", false, 5*time.Minute + 30*time.Second},
		{25 * time.Minute, time.Minute, 5 * time.Minute, "for", false, 30 * time.Minute},
		{25 * time.Minute, time.Minute, 5 * time.Minute, "for timeout", false, 0},
		{25 * time.Minute, time.Minute, 5 * time.Minute, "for timeout", true, 5 * time.Minute},
		{30 * time.Second, time.Minute, 4 * time.Second, "timeout", false, 4 * time.Second},
	}
	for _, tt := range tests {
		a, f := &app{timeout: tt.timeout}, &detectFlags{}
		f.opts.For, f.opts.Probes.StartWithin, f.opts.Probes.None = tt.listen, tt.start, tt.passive
		err := a.patience(f, func(flag string) bool { return slices.Contains(strings.Fields(tt.set), flag) })
		if (err != nil) != (tt.want == 0) || err == nil && a.timeout != tt.want {
			t.Errorf("%+v: %s, %v", tt, a.timeout, err)
		}
	}
}

// Without a terminal one line for each stage; what pods say is tidied.
func TestTalk(t *testing.T) {
	var b bytes.Buffer
	talk := &talk{a: &app{stderr: &b}, in: strings.NewReader("")}
	talk.status(remediate.Status{Stage: "waiting", Ready: 1, Want: 3})
	talk.status(remediate.Status{Stage: "waiting", Ready: 2, Want: 3})
	talk.status(remediate.Status{Stage: "waiting", Why: []string{"ImagePullBackOff: \x1b[2Jno"}})
	talk.say("made %s", "it")
	if got, want := b.String(), "► waiting\n► waiting: ImagePullBackOff: \\x1b[2Jno\n► made it\n"; got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if talk.asker() != nil {
		t.Error("asks where nobody sits")
	}
}

// On a terminal one line that changes and goes.
func TestTalkLive(t *testing.T) {
	var b bytes.Buffer
	talk := &talk{a: &app{stderr: &b}, live: true}
	talk.status(remediate.Status{Stage: "waiting for the probes to start", Ready: 1, Want: 3, Left: 59500 * time.Millisecond})
	talk.status(remediate.Status{Stage: "listening to the probes", Heard: 2, Want: 3, Why: []string{"é\x1b"}})
	talk.say("done")
	const clear = "\r\x1b[K"
	want := clear + "  waiting for the probes to start: 1 of 3 run, 59s left" + clear + "  listening to the probes: 2 of 3 heard (??)" + clear + "► done\n"
	if got := b.String(); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestAnswers(t *testing.T) {
	ask := func(t *talk) (bool, error) { return t.ask(context.Background(), remediate.Question{Text: "Create?"}) }
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, "\n": false, "n\n": false, "": false, "yesterday\n": false} {
		var b bytes.Buffer
		got, err := ask(&talk{a: &app{stderr: &b}, in: strings.NewReader(answer)})
		if got != want || err != nil || b.String() != "? Create? [y/N] " {
			t.Errorf("%q: %t, %v, asked %q", answer, got, err, b.String())
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (&talk{a: &app{stderr: &bytes.Buffer{}}, in: r}).ask(ctx, remediate.Question{}); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupt ends the question: %v", err)
	}
}

// --yes makes probes, and leaves those alone that somebody may be listening to.
func TestYes(t *testing.T) {
	ask := (&talk{a: &app{stderr: &bytes.Buffer{}}, in: strings.NewReader(""), yes: true}).asker()
	tests := []struct {
		q    remediate.Question
		want bool
	}{
		{remediate.Question{}, true},
		{remediate.Question{Removes: true, Started: time.Now().Add(-5 * time.Minute)}, false},
		{remediate.Question{Removes: true, Started: time.Now().Add(-2 * time.Hour)}, true},
	}
	for _, tt := range tests {
		if got, err := ask(t.Context(), tt.q); got != tt.want || err != nil {
			t.Errorf("%+v: %t, %v", tt.q, got, err)
		}
	}
}

// How a run ended is said without what Go calls it.
func TestWhyEnded(t *testing.T) {
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancelLate()
	a := &app{timeout: time.Minute}
	tests := []struct {
		ctx  context.Context
		err  error
		want string
	}{
		{interrupted, nil, ""},
		{interrupted, context.Canceled, "interrupted"},
		{interrupted, fmt.Errorf("probes of this run are left: %w", context.Canceled), "interrupted: probes of this run are left: context canceled"},
		{late, context.DeadlineExceeded, "not done within --timeout 1m0s: give a longer one"},
		{late, fmt.Errorf("list nodes: %w", context.DeadlineExceeded), "not done within --timeout 1m0s: list nodes: context deadline exceeded"},
		{t.Context(), errors.New("another"), "another"},
	}
	for _, tt := range tests {
		got := ""
		if err := a.whyEnded(tt.ctx, tt.err); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
