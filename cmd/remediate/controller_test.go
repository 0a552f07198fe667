package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/remediate-dev/remediate/internal/testbed"
)

// What cannot work ends with an error that says what to do.
func TestControllerRefuses(t *testing.T) {
	kubeconfig := testbed.Kubeconfig(t, testbed.APIServer(t))
	for _, tt := range []struct {
		name string
		args []string
		says string
	}{
		{"no cluster", []string{"--kubeconfig", t.TempDir() + "/none"}, "cluster"},
		{"an address without TLS", []string{"--kubeconfig", kubeconfig, "--api-server", "http://192.0.2.1"}, "https://HOST:PORT"},
		{"leader election without a namespace", []string{"--kubeconfig", kubeconfig, "--enable-leader-election", "--storage", t.TempDir()}, "RUNTIME_NAMESPACE"},
		{"nobody works", []string{"--kubeconfig", kubeconfig, "--concurrent", "0", "--storage", t.TempDir()}, "--concurrent"},
		{"an argument", []string{"now"}, "now"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("RUNTIME_NAMESPACE", "")
			var out, errs bytes.Buffer
			if code := execute(context.Background(), append([]string{"controller"}, tt.args...), &out, &errs); code != 1 {
				t.Errorf("exit code %d", code)
			}
			if !strings.Contains(errs.String(), tt.says) {
				t.Errorf("%q does not say %q", errs.String(), tt.says)
			}
		})
	}
}
