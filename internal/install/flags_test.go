package install

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/remediate-dev/remediate/remediate/controller"
)

// flags are the controller's options as an installation gives them.
func flags(t *testing.T, args []string) controller.Options {
	t.Helper()
	var o controller.Options
	fs := pflag.NewFlagSet("controller", pflag.ContinueOnError)
	o.BindFlags(fs)
	if len(args) == 0 || args[0] != "controller" {
		t.Fatalf("the command is %q", args)
	}
	if err := fs.Parse(args[1:]); err != nil || fs.NArg() > 0 {
		t.Fatalf("%q: %v, %q left", args, err, fs.Args())
	}
	return o
}

// The controller knows every flag that it is started with, and what it is told fits
// the rest of its pod.
func TestTheControllerKnowsItsFlags(t *testing.T) {
	custom := mustRender(t, nil, `
ports: {metrics: 19790, health: 19791}
notification: {address: "http://10.96.3.4/"}
extraArgs: ["--log-level=debug", "--concurrent=2"]
`)
	if o := flags(t, deployment(t, custom).Spec.Template.Spec.Containers[0].Args); o.EventsAddr != "http://10.96.3.4/" || o.Concurrent != 2 || o.MetricsAddr != ":19790" {
		t.Errorf("%+v", o)
	}
	spec := deployment(t, kustomize(t, "default")).Spec.Template.Spec
	c := spec.Containers[0]
	o := flags(t, c.Args)
	if o.MetricsAddr != ":9790" || o.HealthAddr != ":9791" || !o.LeaderElection.Enable || !o.WatchAllNamespaces {
		t.Errorf("%+v", o)
	}
	if !slices.ContainsFunc(mounts(t), func(m string) bool { return m == o.Storage }) {
		t.Errorf("it writes to %s, and %q is mounted", o.Storage, mounts(t))
	}
	var ports []string
	for _, p := range c.Ports {
		ports = append(ports, strings.TrimPrefix(o.MetricsAddr, ":"), strings.TrimPrefix(o.HealthAddr, ":"))
		if p.Name != "http-prom" && p.Name != "healthz" {
			t.Errorf("port %s", p.Name)
		}
	}
	if len(ports) != 4 || slices.Contains(ports, "8080") || slices.Contains(ports, "9440") {
		t.Errorf("ports %q", ports)
	}
}

func mounts(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, m := range deployment(t, kustomize(t, "default")).Spec.Template.Spec.Containers[0].VolumeMounts {
		out = append(out, m.MountPath)
	}
	return out
}

// The Role names the Lease that the controller takes.
func TestTheLeaseIsNamed(t *testing.T) {
	for r := range granted(t, kustomize(t, "default")) {
		if r.role == "Role remediate-controller in "+system && r.what == "coordination.k8s.io/leases" && r.names != "" && r.names != controller.LeaseName {
			t.Errorf("the right is for %s, the Lease is %s", r.names, controller.LeaseName)
		}
	}
}
