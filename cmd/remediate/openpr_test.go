package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"

	"github.com/remediate-dev/remediate/api/v1alpha1"
	"github.com/remediate-dev/remediate/gitops/forge"
	"github.com/remediate-dev/remediate/internal/testbed"
	"github.com/remediate-dev/remediate/remediate"
)

func TestNameOf(t *testing.T) {
	for _, tt := range []struct{ path, repository, want string }{
		{"clusters/home", "fleet", "home"},
		{"clusters/eu/prod/flux", "fleet", "eu-prod"},
		{"kubernetes/flux/cluster", "home-ops", "home-ops"},
		{"./k8s/Main_01/flux-system", "fleet", "main-01"},
		{".", "", "cluster"},
		{"", "Ops.Git", "ops-git"},
		{"a/../b", "", "a-b"},
		{"clusters/ünï/" + strings.Repeat("long", 40), "", "n-" + strings.Repeat("long", 12)},
		{"clusters/--x--", "", "x"},
	} {
		got := remediate.ClusterName(tt.path, tt.repository)
		if got != tt.want {
			t.Errorf("remediate.ClusterName(%q, %q) = %q, want %q", tt.path, tt.repository, got, tt.want)
		}
		if (&prFlags{cluster: got}).checkNames() != nil {
			t.Errorf("%q is refused as --cluster", got)
		}
	}
}

func TestHostOf(t *testing.T) {
	for address, want := range map[string]string{
		"https://git.example.com/a/b":             "git.example.com",
		"https://user:pass@Git.Example.com:8443/": "git.example.com",
		"ssh://git@git.example.com:2222/a/b":      "git.example.com",
		"git@git.example.com:a/b.git":             "git.example.com",
		"ssh://git@ssh.github.com:443/a/b":        "github.com",
		"/srv/git/a.git":                          "",
		"../a":                                    "",
		`C:\repo`:                                 "",
		"file:///srv/git/a.git":                   "",
		"":                                        "",
		"https://git.example.com@evil.example/a":  "evil.example",
		"git@evil.example:git.example.com/a":      "evil.example",
	} {
		if got := hostOf(address); got != want {
			t.Errorf("hostOf(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestPlace(t *testing.T) {
	tests := []struct {
		name, address string
		flags         prFlags
		want          forge.Place
	}{
		{"known", "git@github.com:a/b.git", prFlags{}, forge.Place{Kind: "github", Host: "github.com", API: "https://api.github.com", Owner: "a", Name: "b"}},
		{"stated kind", "https://git.example.com/a/b", prFlags{forge: "gitea"}, forge.Place{Kind: "gitea", Host: "git.example.com", API: "https://git.example.com/api/v1", Owner: "a", Name: "b"}},
		{"stated otherwise than the name says", "https://gitlab.example.com/a/b", prFlags{forge: "github"}, forge.Place{Kind: "github", Host: "gitlab.example.com", API: "https://gitlab.example.com/api/v3", Owner: "a", Name: "b"}},
		{"web server elsewhere", "ssh://git@ssh.example.com/a/b", prFlags{forge: "gitlab", forgeURL: "https://code.example.com/"}, forge.Place{Kind: "gitlab", Host: "code.example.com", API: "https://code.example.com/api/v4", Owner: "a", Name: "b"}},
		{"API elsewhere", "ssh://git@ssh.example.com/a/b", prFlags{forgeURL: "https://code.example.com/git/api/v1"}, forge.Place{Kind: "gitea", Host: "code.example.com", API: "https://code.example.com/git/api/v1", Owner: "a", Name: "b"}},
		{"an alias of GitHub", "ssh://git@gh-work/a/b", prFlags{forgeURL: "https://github.com"}, forge.Place{Kind: "github", Host: "github.com", API: "https://api.github.com", Owner: "a", Name: "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &delivery{app: &app{}, flags: &planFlags{pr: tt.flags}}
			got, err := d.place(context.Background(), tt.address)
			if err != nil || got != tt.want {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
}

func TestEnvironmentsTokens(t *testing.T) {
	for _, name := range []string{"GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN", "GITEA_TOKEN", "FORGEJO_TOKEN"} {
		t.Setenv(name, "")
	}
	t.Setenv("GH_TOKEN", "gh\n")
	t.Setenv("GITLAB_TOKEN", "gl")
	t.Setenv("FORGEJO_TOKEN", "fj")
	place := func(kind, host string) forge.Place { return forge.Place{Kind: kind, Host: host} }
	tests := []struct {
		name  string
		place forge.Place
		flags prFlags
		repo  string
		want  string
	}{
		{"github.com", place("github", "github.com"), prFlags{}, "", "GH_TOKEN=gh"},
		{"gitlab.com", place("gitlab", "gitlab.com"), prFlags{}, "", "GITLAB_TOKEN=gl"},
		{"Codeberg", place("gitea", "codeberg.org"), prFlags{}, "", "FORGEJO_TOKEN=fj"},
		{"nobody named it", place("gitlab", "gitlab.example.com"), prFlags{}, "", "="},
		{"a flag names it", place("gitlab", "gitlab.example.com"), prFlags{gitURL: "git@gitlab.example.com:a/b"}, "", "GITLAB_TOKEN=gl"},
		{"a flag names the forge", place("gitea", "code.example.com:3000"), prFlags{forgeURL: "https://code.example.com:3000"}, "", "FORGEJO_TOKEN=fj"},
		{"--repo is a URL there", place("gitea", "code.example.com"), prFlags{}, "https://code.example.com/a/b", "FORGEJO_TOKEN=fj"},
		{"a flag names another", place("gitlab", "gitlab.example.com"), prFlags{gitURL: "https://gitlab.com/a/b"}, "", "="},
		{"a name that only looks like GitHub's", place("github", "github.evil.example"), prFlags{}, "", "="},
		{"the kind is not known", place("", "git.example.com"), prFlags{gitURL: "https://git.example.com/a/b"}, "", "="},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &delivery{app: &app{}, flags: &planFlags{pr: tt.flags}}
			if d.flags.opts.Repo = tt.repo; tt.repo == "" {
				d.flags.opts.Repo = t.TempDir()
			}
			if name, token := d.fromEnvironment(&target{place: tt.place}); name+"="+token != tt.want {
				t.Errorf("%s=%s, want %s", name, token, tt.want)
			}
		})
	}
}

func TestOutcomeLine(t *testing.T) {
	const url, branch = "https://git.example.com/a/b/pulls/12", "remediate/home/x-1"
	for want, out := range map[string]v1alpha1.PullRequestOutcome{
		"✔ opened " + url + " (branch " + branch + ")":                  {Action: v1alpha1.PullRequestOpened, URL: url, Branch: branch, Because: []string{"all is well"}},
		"✔ pushed (branch " + branch + ")":                              {Action: v1alpha1.PullRequestOpened, Branch: branch},
		"✔ updated " + url + " (branch " + branch + "): the base moved": {Action: v1alpha1.PullRequestUpdated, URL: url, Branch: branch, Because: []string{"the base moved"}},
		"► unchanged " + url + " (branch " + branch + "): as it should": {Action: v1alpha1.PullRequestUnchanged, URL: url, Branch: branch, Because: []string{"as it should"}},
		"► held: one is open; none is free":                             {Action: v1alpha1.PullRequestHeld, Because: []string{"one is open", "none is free"}},
		"✔ closed " + url + ": fixed otherwise":                         {Action: v1alpha1.PullRequestClosed, URL: url, Because: []string{"fixed otherwise"}},
		"► merged already " + url:                                       {Action: v1alpha1.PullRequestMerged, URL: url},
		"► left alone " + url + ": wanda pushed":                        {Action: v1alpha1.PullRequestHandsOff, URL: url, Because: []string{"wanda pushed"}},
		"► nothing proposed: nothing was found":                         {Action: v1alpha1.PullRequestNoChange, Because: []string{"nothing was found"}},
		"► Later": {Action: "Later"},
	} {
		if got := outcomeLine(&out); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// folder writes the keys of a Secret as Kubernetes mounts them.
func folder(t *testing.T, data map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	version := filepath.Join(dir, "..2026")
	if err := os.Mkdir(version, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("..2026", filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	for k, v := range data {
		if err := os.WriteFile(filepath.Join(version, k), v, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join("..data", k), filepath.Join(dir, k)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSecretOfAFolder(t *testing.T) {
	want := map[string][]byte{"username": []byte("bot"), "ca.crt": []byte("-----BEGIN\n")}
	got, err := (&app{}).secret(context.Background(), "--git-secret", folder(t, want))
	if err != nil || len(got) != 2 || string(got["username"]) != "bot" || string(got["ca.crt"]) != "-----BEGIN\n" {
		t.Errorf("%v, %v", got, err)
	}
}

// kubernetes answers for one Secret.
func kubernetes(t *testing.T, data map[string][]byte) string {
	t.Helper()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer := any(corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, Data: data})
		code := http.StatusOK
		switch r.Method + " " + r.URL.Path {
		case "GET /api/v1/namespaces/flux-system/secrets/git":
		case "GET /api/v1/namespaces/kube-system/secrets/git":
			code = http.StatusForbidden
			answer = metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Reason: metav1.StatusReasonForbidden, Code: 403}
		default:
			code = http.StatusNotFound
			answer = metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Reason: metav1.StatusReasonNotFound, Code: 404}
		}
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(srv.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	return testbed.Kubeconfig(t, &rest.Config{Host: srv.URL, TLSClientConfig: rest.TLSClientConfig{CAData: ca}})
}

func TestSecretOfACluster(t *testing.T) {
	config := kubernetes(t, map[string][]byte{"password": []byte("t0ken")})
	for from, want := range map[string]string{
		"flux-system/git":  "",
		"flux-system/none": "neither a file nor a Secret",
		"kube-system/git":  "may not read that Secret",
	} {
		none := ""
		a := &app{kube: &genericclioptions.ConfigFlags{KubeConfig: &config, Context: &none, Namespace: &none}}
		got, err := a.secret(context.Background(), "--git-secret", from)
		switch {
		case want == "" && (err != nil || string(got["password"]) != "t0ken"):
			t.Errorf("%s: %v, %v", from, got, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", from, err, want)
		}
	}
}
