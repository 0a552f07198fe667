package testbed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// script writes an executable that stands in for a server.
func script(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestStartSaysWhyNot(t *testing.T) {
	failing := script(t, "etcd", "echo no room on disk >&2\nexit 1\n")
	tests := map[string]struct {
		etcd string
		want []string
	}{
		"ends":         {failing, []string{"etcd ended before it was ready", "no room on disk"}},
		"is not there": {filepath.Join(t.TempDir(), "etcd"), []string{"start etcd", "no such file"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := start(t.TempDir(), tt.etcd, "kube-apiserver", nil)
			if err == nil {
				t.Fatal("started")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v, want %q", err, want)
				}
			}
		})
	}
}

func TestProcessStops(t *testing.T) {
	p, err := startProcess(t.TempDir(), script(t, "server", "echo started\ntrap '' TERM INT\nexec sleep 1000\n"))
	if err != nil {
		t.Fatal(err)
	}
	if p.ended() {
		t.Fatalf("ended: %s", p.says())
	}
	if err := p.freeze(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
	}
	if !p.ended() {
		t.Error("it still runs")
	}
}

func TestProcessHasNoneOfOurEnvironment(t *testing.T) {
	t.Setenv("PLANTED_TOKEN", "x")
	p, err := startProcess(t.TempDir(), script(t, "server", "env\n"))
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	if said := p.says(); strings.Contains(said, "PLANTED") || !strings.Contains(said, "PATH=") {
		t.Errorf("environment: %s", said)
	}
}

func TestFreePortsDiffer(t *testing.T) {
	ports, err := freePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, p := range ports {
		if p == 0 || seen[p] {
			t.Errorf("ports %v", ports)
		}
		seen[p] = true
	}
}

func TestCredentials(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	a, err := writeCredentials(first)
	if err != nil {
		t.Fatal(err)
	}
	b, err := writeCredentials(second)
	if err != nil || a == b || len(a) != 32 {
		t.Errorf("tokens %q and %q (%v)", a, b, err)
	}
	for _, name := range []string{tokenFile, keyFile} {
		info, err := os.Stat(filepath.Join(first, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestKubeconfigReadsBack(t *testing.T) {
	want := &rest.Config{
		Host:            "https://127.0.0.1:6443",
		BearerToken:     "token",
		Impersonate:     rest.ImpersonationConfig{UserName: "auditor", Groups: []string{"auditors"}},
		TLSClientConfig: rest.TLSClientConfig{CAData: []byte("authority")},
	}
	path := Kubeconfig(t, want)
	got, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(
		[]any{want.Host, want.BearerToken, want.Impersonate.UserName, want.Impersonate.Groups, want.CAData},
		[]any{got.Host, got.BearerToken, got.Impersonate.UserName, got.Impersonate.Groups, got.CAData}); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}
