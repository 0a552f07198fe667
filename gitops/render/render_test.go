package render

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func small(t testing.TB) *Chart {
	t.Helper()
	c, err := LoadChart("testdata/small")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRender(t *testing.T) {
	c := small(t)
	if c.Name != "small" || c.Version != "1.2.3" || c.AppVersion != "9" {
		t.Errorf("chart is %q %q %q", c.Name, c.Version, c.AppVersion)
	}
	r, err := c.Render(values(t, "{count: 2, nested: {extra: e}}"), Options{Namespace: "ns", KubeVersion: "1.32.1", APIVersions: []string{"example.com/v1"}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"count": "2", "read": "true", "upgrade": "true", "kube": "1", "api": "yes", "extra": "e"}
	if got, _ := r.ConfigMap("x-config"); !reflect.DeepEqual(got, want) {
		t.Errorf("data %v, want %v", got, want)
	}
	if got, want := r.Keys(), []string{"ConfigMap/ns/x-config", "DaemonSet/ns/agent", "ValidatingWebhookConfiguration//hook"}; !slices.Equal(got, want) {
		t.Errorf("keys %v, want %v", got, want)
	}
	if _, ok := r.ConfigMap("config"); ok {
		t.Error("part of a name finds a ConfigMap")
	}
	if _, ok := r.Object("ConfigMap/ns/x-config"); !ok {
		t.Error("no object by key")
	}
	for k, m := range r.Manifests() {
		if strings.Contains(m, "caBundle") || strings.Contains(m, os.Getenv("HOME")) && os.Getenv("HOME") != "/" {
			t.Errorf("%s: %s", k, m)
		}
	}
	if v, ok := c.Default("nested.read"); !ok || v != true {
		t.Errorf("default %v, %v", v, ok)
	}
	if _, ok := c.Default("nested.none"); ok {
		t.Error("a default that is not there")
	}
}

func TestRenderLeavesInputAlone(t *testing.T) {
	c := small(t)
	v := values(t, "{nested: {extra: e}, labels: {a: b}}")
	before := copyOf(v)
	if _, err := c.Render(v, Options{}); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(v, before) {
		t.Errorf("values became %v", v)
	}
	if _, ok := c.Default("nested.extra"); ok {
		t.Error("the chart's defaults changed")
	}
}

func TestDiff(t *testing.T) {
	for _, test := range []struct {
		name, a, b   string
		diff, rolled []string
	}{
		{"nothing", "{}", "{}", nil, nil},
		{"the same in other words", "{}", "{count: 1}", nil, nil},
		{"a value", "{}", "{count: 2}", []string{"ConfigMap/kube-system/x-config"}, nil},
		{"a value that rolls", "{roll: true}", "{roll: true, count: 2}", []string{"ConfigMap/kube-system/x-config", "DaemonSet/kube-system/agent"}, []string{"DaemonSet/agent"}},
		{"another name", "{}", "{name: z}", []string{"ConfigMap/kube-system/x-config", "ConfigMap/kube-system/z-config", "DaemonSet/kube-system/agent"}, []string{"DaemonSet/agent"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := small(t)
			a, errA := c.Render(values(t, test.a), Options{})
			b, errB := c.Render(values(t, test.b), Options{})
			if err := errors.Join(errA, errB); err != nil {
				t.Fatal(err)
			}
			if got := a.Diff(b); !slices.Equal(got, test.diff) {
				t.Errorf("diff %v, want %v", got, test.diff)
			}
			if got := b.Diff(a); !slices.Equal(got, test.diff) {
				t.Errorf("the other way round: %v, want %v", got, test.diff)
			}
			if a.Equal(b) != (len(test.diff) == 0) {
				t.Error("Equal disagrees with Diff")
			}
			if got := a.RestartedBy(b); !slices.Equal(got, test.rolled) {
				t.Errorf("restarts %v, want %v", got, test.rolled)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct{ name, values, want, template string }{
		{"fail", "{name: bad}", "the name is bad", "small/templates/validate.yaml:1"},
		{"required", "{mustHave: true}", "needs other", "small/templates/validate.yaml:2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, c := range []*Chart{small(t), small(t).Only("config.yaml")} {
				_, err := c.Render(values(t, test.values), Options{})
				var f *FailError
				if !errors.As(err, &f) || f.Message != test.want || !strings.HasPrefix(f.Template, test.template) {
					t.Errorf("error %#v", err)
				}
			}
		})
	}
	_, err := small(t).Render(values(t, "{count: many, name: 7}"), Options{})
	var s *SchemaError
	if !errors.As(err, &s) || len(s.Problems) != 2 {
		t.Errorf("schema: %#v", err)
	}
	if _, err := small(t).Render(values(t, "{count: many}"), Options{SkipSchema: true}); err != nil {
		t.Errorf("without schema: %v", err)
	}
}

func TestOnly(t *testing.T) {
	for _, test := range []struct {
		patterns []string
		want     []string
	}{
		{nil, nil},
		{[]string{"config.yaml"}, []string{"ConfigMap/kube-system/x-config"}},
		{[]string{"sub/*"}, []string{"DaemonSet/kube-system/agent", "ValidatingWebhookConfiguration//hook"}},
		{[]string{"work*"}, []string{"DaemonSet/kube-system/agent", "ValidatingWebhookConfiguration//hook"}},
	} {
		r, err := small(t).Only(test.patterns...).Render(nil, Options{})
		if err != nil || !slices.Equal(r.Keys(), test.want) {
			t.Errorf("%v: %v, %v, want %v", test.patterns, r.Keys(), err, test.want)
		}
	}
}

func TestNoEffect(t *testing.T) {
	for _, test := range []struct {
		name, values string
		keys         []string
		want         []Key
	}{
		{"all read", "{name: z, count: 3, nested: {read: false, extra: x}, labels: {a: b}, roll: true}", nil, nil},
		{"misspelt", "{Count: 3, nested: {reed: 1}, names: {deep: {er: 1}}}", nil, []Key{{Path: "Count", Suggestion: "count"}, {Path: "names.deep.er"}, {Path: "nested.reed"}}},
		{"only those asked for", "{Count: 3, foreign: 1}", []string{"foreign"}, []Key{{Path: "foreign"}}},
		{"null, and the chart's own value", "{other2: ~, unread: 7}", nil, nil},
		{"another value than the chart's own", "{unread: 8}", nil, []Key{{Path: "unread"}}},
		{"empty maps and dotted keys", `{a: {}, "b.c": 1}`, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := small(t).NoEffect(context.Background(), values(t, test.values), test.keys, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(test.want) || len(got) > 0 && !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := small(t).NoEffect(ctx, values(t, "{dead: 1}"), nil, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := small(t).NoEffect(context.Background(), values(t, "{dead: 1, name: bad}"), nil, Options{}); !IsRefusal(err) {
		t.Errorf("values that the chart refuses: %v", err)
	}
}

// A dead key stays dead, and a live one alive, whatever stands beside it.
func TestNoEffectProperty(t *testing.T) {
	c := small(t)
	live := []string{"name", "count", "roll", "nested.read", "nested.extra"}
	rapid.Check(t, func(t *rapid.T) {
		dead := rapid.SliceOfNDistinct(rapid.StringMatching(`zz[a-f]{1,3}`), 0, 5, rapid.ID).Draw(t, "dead")
		v := map[string]any{"name": "y", "count": 2.0, "nested": map[string]any{"extra": "e"}}
		for _, k := range dead {
			v[k] = rapid.SampledFrom([]any{true, 1.0, "x", []any{"a"}}).Draw(t, "value")
		}
		got, err := c.NoEffect(context.Background(), v, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(dead) {
			t.Fatalf("%v of %v are dead", got, dead)
		}
		for _, k := range got {
			if slices.Contains(live, k.Path) || !slices.Contains(dead, k.Path) {
				t.Errorf("%s is called dead", k.Path)
			}
		}
	})
}

func TestLoadChartErrors(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadChart(filepath.Join(dir, "none")); !errors.Is(err, ErrNoChart) || !strings.Contains(err.Error(), "--chart") {
		t.Errorf("none: %v", err)
	}
	if _, err := LoadChart(dir); err == nil {
		t.Error("an empty directory is a chart")
	}
	write := func(name, text string) {
		p := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("Chart.yaml", "apiVersion: v2\nname: x\nversion: 1.0.0\n")
	write("templates/a.yaml", "a: {{ .Values.a")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "passwd")); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadChart(dir); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("symlink: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "passwd")); err != nil {
		t.Fatal(err)
	}
	c, err := LoadChart(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Render(nil, Options{}); err == nil || IsRefusal(err) || !strings.Contains(err.Error(), "a.yaml") {
		t.Errorf("unparsable template: %v", err)
	}
	write("big", strings.Repeat("x", maxChartBytes+1))
	if _, err := LoadChart(dir); err == nil || !strings.Contains(err.Error(), "bytes") {
		t.Errorf("too large: %v", err)
	}
	if _, err := LoadChart(filepath.Join(dir, "big")); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("too large a file: %v", err)
	}
}

func TestFits(t *testing.T) {
	for _, test := range []struct {
		want, have string
		fits       bool
	}{
		{"1.18.6", "1.18.6", true}, {"v1.18.6", "1.18.6", true}, {"1.17.4", "1.18.6", false},
		{"1.18.x", "1.18.6", true}, {">=1.18.0 <1.19.0", "1.18.6", true}, {"1.17.x", "1.18.6", false},
		{"latest", "1.18.6", false}, {"latest", "latest", true},
	} {
		if got := Fits(test.want, test.have); got != test.fits {
			t.Errorf("%s in %s: %v", test.have, test.want, got)
		}
	}
}

// An object that stands in is read, and the chart's own is left alone.
func TestWith(t *testing.T) {
	r := newRendered(map[string]string{"a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\ndata: {k: old}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\ndata: {k: other}\n"})
	obj, ok := r.Find("ConfigMap", "one")
	if !ok {
		t.Fatal("one is not found")
	}
	obj["data"] = map[string]any{"k": "new"}
	with := r.With(obj)
	for name, want := range map[string]string{"one": "new", "two": "other"} {
		if got, _ := with.ConfigMap(name); got["k"] != want {
			t.Errorf("%s holds %v, want %s", name, got, want)
		}
	}
	if got, _ := r.ConfigMap("one"); got["k"] != "old" {
		t.Errorf("the chart's own now holds %v", got)
	}
}
