package controller

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/examples"
	"github.com/remediate-dev/remediate/gitops/access"
	"github.com/remediate-dev/remediate/gitops/repo"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/remediate"
)

// reportsDefinition has the API server keep ProbeReports, as somebody may who keeps
// reports as objects: the command line and the controller read them there.
const reportsDefinition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: probereports.remediate.dev}
spec:
  group: remediate.dev
  names: {kind: ProbeReport, listKind: ProbeReportList, plural: probereports, singular: probereport}
  scope: Cluster
  versions:
    - name: v1alpha1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// keepReports puts the incident's reports into the cluster.
func (b *bed) keepReports() {
	b.Helper()
	_, facts, err := examples.Lay(examples.Default, b.TempDir())
	must(b, err)
	definition := filepath.Join(b.TempDir(), "probereports.yaml")
	must(b, os.WriteFile(definition, []byte(reportsDefinition), 0o600))
	testbed.InstallCRDFiles(b, b.cfg, definition)
	for _, file := range []string{"probes.yaml", "added-reflector.yaml"} {
		testbed.LoadObjects(b, b.cfg, testbed.Objects(b, filepath.Join(facts, file))...)
	}
}

// checkout clones the repository as people do.
func (b *bed) checkout() string {
	b.Helper()
	a, err := access.New(access.Options{URL: b.forge.CloneURL(), Git: b.forge.Secret()})
	must(b, err)
	dir := filepath.Join(b.TempDir(), "fleet")
	_, err = (&repo.Remote{URL: b.forge.CloneURL(), Access: a}).Clone(b.Context(), repo.CloneOptions{Dir: dir, Branch: "main", History: true})
	must(b, err)
	return dir
}

// commandLine runs remediate plan and gives what it prints.
func (b *bed) commandLine(args ...string) *v1alpha1.Plan {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "remediate")
	build := exec.CommandContext(b.Context(), "go", "build", "-buildvcs=false", "-o", binary, "../../cmd/remediate")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build the command: %v\n%s", err, out)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(b.Context(), binary, append([]string{"plan", "-o", "json", "--kubeconfig", testbed.Kubeconfig(b, b.cfg)}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.TempDir()}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		b.Fatalf("remediate plan: %v\n%s", err, &stderr)
	}
	p := &v1alpha1.Plan{}
	must(b, json.Unmarshal(stdout.Bytes(), p))
	return p
}

// history has the repository hold a state of the values before the present one.
func (b *bed) history() {
	b.Helper()
	now := b.forge.Show(b, "main", valuesFile)
	b.forge.Push(b, "main", map[string][]byte{valuesFile: []byte(strings.Replace(now, "fd00:101::/48", "fd00:101:224::/60", 1))})
	b.forge.Push(b, "main", map[string][]byte{valuesFile: []byte(now)})
}

// From the same cluster and the same repository the command line and the controller
// make the same plan, to the last byte.
func TestSamePlanAsTheCommandLine(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.history()
	b.keepReports()
	b.policy(v1alpha1.ModeObserve)
	b.probes.say(incidentFinding())
	b.start()
	o := b.until("planned", func(o *v1alpha1.Remediation) bool { return o.Status.Plan != nil && o.Status.Plan.Hash != "" })
	p := b.commandLine("--repo", b.checkout(), "--release", "kube-system/cilium", "--chart", testbed.ChartDir(t))
	if got, want := o.Status.Plan.Hash, remediate.PlanHash(p); got != want {
		t.Errorf("hash %s, the command line's plan has %s", got, want)
	}
	if o.Status.Plan.Revision != p.Subject.Revision {
		t.Errorf("revision %s, the command line has %s", o.Status.Plan.Revision, p.Subject.Revision)
	}
	var ids []string
	for _, c := range p.Candidates {
		ids = append(ids, c.ID)
	}
	if len(ids) == 0 || !slices.Equal(ids, o.Status.Plan.Candidates) {
		t.Errorf("candidates %q, the command line has %q", o.Status.Plan.Candidates, ids)
	}
	if !slices.ContainsFunc(p.Findings, func(f v1alpha1.Finding) bool {
		return f.Signature == flagship && f.Confidence == v1alpha1.ConfidenceConfirmed
	}) {
		t.Errorf("the facts confirm nothing: %+v", p.Findings)
	}
}
