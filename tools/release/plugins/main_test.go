package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var digest = strings.Repeat("0123456789abcdef", 4)

func sums(lines ...string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(digest + "  " + l + "\n")
	}
	return b.String()
}

var released = []string{
	"install.yaml", "remediate_0.1.0_darwin_amd64.tar.gz", "remediate_0.1.0_darwin_arm64.tar.gz",
	"remediate_0.1.0_linux_amd64.tar.gz", "remediate_0.1.0_linux_amd64.tar.gz.spdx.json", "remediate_0.1.0_linux_arm64.tar.gz",
	"remediate-probe_0.1.0_linux_amd64.tar.gz", "remediate_0.1.1_linux_amd64.tar.gz",
}

func manifests(t *testing.T) (fluxPlugin, krewPlugin) {
	t.Helper()
	dir := t.TempDir()
	list := filepath.Join(dir, "checksums.txt")
	if err := os.WriteFile(list, []byte(sums(released...)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"--version=v0.1.0", "--checksums=" + list, "--out=" + dir}); err != nil {
		t.Fatal(err)
	}
	var f fluxPlugin
	var k krewPlugin
	for name, into := range map[string]any{"flux-remediate.yaml": &f, "krew-remediate.yaml": &k} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = yaml.UnmarshalStrict(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return f, k
}

// The patterns are those of fluxcd/plugins, schemas/plugin-cli-v1beta1.json.
func TestFlux(t *testing.T) {
	f, _ := manifests(t)
	for value, pattern := range map[string]string{
		f.APIVersion: `^cli\.fluxcd\.io/v1beta1$`, f.Kind: `^Plugin$`, f.Name: `^[a-z][a-z0-9-]*$`, f.Bin: `^flux-[a-z][a-z0-9-]*$`,
		f.Homepage: `^https://`, f.Versions[0].Version: `^[0-9]+\.[0-9]+\.[0-9]+(-.+)?$`,
	} {
		if !regexp.MustCompile(pattern).MatchString(value) {
			t.Errorf("%q is not %s", value, pattern)
		}
	}
	platforms := f.Versions[0].Platforms
	if len(platforms) != 4 || f.Description == "" || f.Source == "" {
		t.Errorf("%d platforms, %q, %q", len(platforms), f.Description, f.Source)
	}
	for _, p := range platforms {
		if p.URL != home+"/releases/download/v0.1.0/remediate_0.1.0_"+p.OS+"_"+p.Arch+".tar.gz" || p.Checksum != "sha256:"+digest || p.ExtractPath != "remediate" {
			t.Errorf("%+v", p)
		}
	}
}

func TestKrew(t *testing.T) {
	_, k := manifests(t)
	if k.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || k.Metadata["name"] != "remediate" || k.Spec.Version != "v0.1.0" {
		t.Errorf("%+v", k)
	}
	// krew's own limit for index listings (naming and description guide).
	if n := len(k.Spec.ShortDescription); n == 0 || n > 60 || len(k.Spec.Platforms) != 4 {
		t.Errorf("%d letters, %d platforms", n, len(k.Spec.Platforms))
	}
	for _, p := range k.Spec.Platforms {
		if !strings.HasSuffix(p.URI, "_"+p.Selector.MatchLabels["os"]+"_"+p.Selector.MatchLabels["arch"]+".tar.gz") || p.SHA256 != digest || p.Bin != "remediate" {
			t.Errorf("%+v", p)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, tt := range []struct{ version, sums, says string }{
		{"0.1", sums(released...), "not of the form"},
		{"0.1.0; rm", sums(released...), "not of the form"},
		{"0.2.0", sums(released...), "names no archive"},
		{"0.1.0", "", "names no archive"},
		{"0.1.0", strings.ReplaceAll(sums(released...), "0123", "012g"), "no SHA-256"},
		{"0.1.0", sums("remediate_0.1.0_plan9_amd64.tar.gz"), "names no archive"},
	} {
		if _, err := parse([]byte(tt.sums), tt.version); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.version, err, tt.says)
		}
	}
	if err := run([]string{"--version=v0.1.0", "--checksums=" + filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a list that is not there")
	}
}
