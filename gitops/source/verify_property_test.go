package source

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawRepository is a repository of several clusters and applications that
// share bases, components, variables, env files and patches as drawn. Every
// value that an edit can change is a word "token-N".
func drawRepository(t *rapid.T) map[string]string {
	files := map[string]string{}
	token := 0
	word := func() string { token++; return fmt.Sprintf("token-%d", token) }
	yes := func(what string) bool { return rapid.Bool().Draw(t, what) }
	configMap := func(name, namespace string, data ...string) string {
		return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, namespace: %s}\ndata: {%s}\n", name, namespace, strings.Join(data, ", "))
	}
	files["shared/base/kustomization.yaml"] = "resources: [config.yaml]\nconfigMapGenerator: [{name: made, envs: [made.env]}]\n"
	files["shared/base/config.yaml"] = configMap("shared", "default", "a: "+word(), "b: '${VAR_B}'")
	files["shared/base/made.env"] = "KEY=" + word() + "\n"
	files["shared/component/kustomization.yaml"] = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches: [{path: patch.yaml, target: {kind: ConfigMap, name: own}}]\n"
	files["shared/component/patch.yaml"] = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\ndata: {patched: " + word() + "}\n"
	files["cilium/kustomization.yaml"] = "namespace: kube-system\nresources: [release.yaml]\nconfigMapGenerator: [{name: values, files: [values.yaml]}]\ngeneratorOptions: {disableNameSuffixHash: true}\n"
	files["cilium/release.yaml"] = plain + "  valuesFrom: [{kind: ConfigMap, name: values}]\n"
	files["cilium/values.yaml"] = "one: " + word() + "\ntwo: ${VAR_A}\nthree: " + word() + "\n"
	for c := range rapid.IntRange(1, 2).Draw(t, "clusters") {
		dir := fmt.Sprintf("clusters/c%d", c)
		files[dir+"/root.yaml"] = fluxFor(fmt.Sprintf("root-%d", c), dir)
		files[dir+"/settings.yaml"] = configMap(fmt.Sprintf("settings-%d", c), "flux-system", "VAR_A: "+word(), "VAR_B: "+word(), "UNUSED: "+word())
		apply := func(name, path string) {
			ks := strings.TrimSuffix(fluxFor(fmt.Sprintf("%s-%d", name, c), path), "\n")
			ks = strings.TrimSuffix(ks, "}") + ", targetNamespace: apps"
			switch rapid.IntRange(0, 2).Draw(t, "substitute") {
			case 1:
				ks += fmt.Sprintf(", postBuild: {substituteFrom: [{kind: ConfigMap, name: settings-%d}]}", c)
			case 2:
				ks += fmt.Sprintf(", postBuild: {substituteFrom: [{kind: ConfigMap, name: settings-%d}], substitute: {VAR_A: %s}}", c, word())
			}
			files[dir+"/"+name+".yaml"] = ks + "}\n"
		}
		apply("cilium", "cilium")
		for a := range rapid.IntRange(1, 3).Draw(t, "apps") {
			app := fmt.Sprintf("apps/c%d-a%d", c, a)
			text := "resources: [own.yaml"
			if yes("base") {
				text += ", ../../shared/base"
			}
			text += "]\n"
			if yes("component") {
				text += "components: [../../shared/component]\n"
			}
			if yes("bare") {
				text = ""
			}
			if text != "" {
				files[app+"/kustomization.yaml"] = text
			}
			files[app+"/own.yaml"] = configMap("own", "default", "x: "+word(), rapid.SampledFrom([]string{"y: '${VAR_A}'", "y: '${VAR_B:=default}'", `y: "$\x7bVAR_A}"`, "y: z"}).Draw(t, "use"))
			apply(fmt.Sprintf("app-%d", a), app)
		}
	}
	return files
}

func asOverlay(files map[string]string) map[string][]byte {
	out := map[string][]byte{}
	for f, c := range files {
		out[f] = []byte(c)
	}
	return out
}

// everything builds all Kustomizations of a repository, by name.
func everything(t *rapid.T, root string, files map[string][]byte) map[string]*outcome {
	tr, err := openOverlaid(root, 0, files)
	if err != nil {
		t.Fatal(err)
	}
	ix, err := scan(context.Background(), tr)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(newSearch(tr, ix, Options{Root: root}))
	out := map[string]*outcome{}
	for _, s := range subjectsOf(w.search, nil) {
		out[w.name(s)] = w.outcome(context.Background(), s.k)
	}
	return out
}

func different(a, b *outcome) bool {
	if a.err != nil || b.err != nil {
		return (a.err == nil) != (b.err == nil)
	}
	objects := func(o *outcome) map[string]any {
		m := map[string]any{}
		for _, b := range o.objs {
			m[b.id.String()] = throughJSON(b.object)
		}
		return m
	}
	return !reflect.DeepEqual(objects(a), objects(b))
}

// Building everything before and after an edit gives exactly the Kustomizations
// that Verify names, which builds only those with a changed input.
func TestVerifyNamesAllThatChange(t *testing.T) {
	root := t.TempDir()
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		files := asOverlay(drawRepository(t))
		edit := map[string][]byte{}
		for range rapid.IntRange(1, 2).Draw(t, "edits") {
			f := rapid.SampledFrom(sortedKeys(files)).Draw(t, "file")
			edit[f] = []byte(strings.Replace(string(files[f]), "token-", "changed-", 1))
		}
		rs, err := List(context.Background(), Options{Root: root, Files: files})
		if err != nil {
			t.Fatal(err)
		}
		r := rapid.SampledFrom(rs).Draw(t, "release")
		v, err := r.Verify(context.Background(), edit)
		if err != nil {
			t.Fatal(err)
		}
		after := maps.Clone(files)
		maps.Copy(after, edit)
		was, is := everything(t, root, files), everything(t, root, after)
		var want []string
		for _, name := range sortedKeys(was) {
			if different(was[name], is[name]) {
				want = append(want, name)
			}
		}
		var got []string
		for _, e := range v.Effects {
			if len(e.Differences) > 0 {
				got = append(got, e.Kustomization)
			}
		}
		if len(v.Values) > 0 {
			got = append(got, r.at.k.String())
		}
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Fatalf("Verify names %q, and %q change; edit of %q:\n%s", got, want, sortedKeys(edit), told(v))
		}
		for _, n := range got {
			seen[n]++
		}
		again, err := r.Verify(context.Background(), edit)
		if err != nil || !reflect.DeepEqual(again, v) {
			t.Fatalf("asked twice:\n%s\n%s", told(v), told(again))
		}
	})
	if len(seen) < 4 {
		t.Errorf("too little changes to prove anything: %v", seen)
	}
}

// Only what can matter is built: finding a release, and verifying one edit.
func TestBuilds(t *testing.T) {
	root := t.TempDir()
	r, err := Find(context.Background(), Options{Root: root, Files: asOverlay(manyFiles(100))})
	if err != nil {
		t.Fatal(err)
	}
	builds := func() int64 { return r.at.t.kept.builds.Swap(0) }
	// The release's own Kustomization, and the two that apply it.
	if n := builds(); n > 4 {
		t.Errorf("finding the release builds %d Kustomizations", n)
	}
	r.Place("ipv4NativeRoutingCIDR")
	r.Affects("apps/ns-00/cilium/app/values.yaml")
	if n := builds(); n != 0 {
		t.Errorf("naming the place and who is affected builds %d", n)
	}
	for _, test := range []struct {
		name, file, from, to string
		most                 int64
		named                int
	}{
		// Its own before and after, and what applies it.
		{"a value", "apps/ns-00/cilium/app/values.yaml", "10.101.0.0/16", "10.101.0.0/17", 5, 0},
		{"another value", "apps/ns-00/cilium/app/values.yaml", "routingMode: native", "routingMode: tunnel", 1, 0},
		// Ten use the variable, and one sets it; they are built once and substituted twice. What
		// applies all is built to know who takes variables from where.
		{"a variable", "clusters/main/cluster-settings.yaml", "fd00:101::/48", "fd00:101::/38", 16, 11},
		{"a variable again", "clusters/main/cluster-settings.yaml", "fd00:101::/48", "fd00:101::/40", 3, 11},
		{"another application", "apps/ns-07/app-007/app/part-03.yaml", "workers: 3", "workers: 4", 2, 1},
	} {
		src, err := r.at.t.read(test.file)
		if err != nil {
			t.Fatal(err)
		}
		v, err := r.Verify(context.Background(), map[string][]byte{test.file: []byte(strings.Replace(string(src), test.from, test.to, 1))})
		if err != nil {
			t.Fatal(err)
		}
		if n := builds(); n > test.most {
			t.Errorf("%s: %d builds, at most %d are needed", test.name, n, test.most)
		}
		if len(v.Effects) != test.named {
			t.Errorf("%s: it names %d, not %d:\n%s", test.name, len(v.Effects), test.named, told(v))
		}
	}
}

// Secrets are never told, whatever changes in them.
func TestDifferencesHideSecrets(t *testing.T) {
	secret := func(data map[string]any, extra string) built {
		return built{id: objectID{apiVersion: "v1", kind: "Secret", namespace: "a", name: "s"}, object: map[string]any{"kind": "Secret", "type": extra, "data": data}}
	}
	for name, after := range map[string]map[string]any{
		"changed": {"a": "c2VjcmV0LTI="},
		"added":   {"a": "c2VjcmV0LTE=", "b": "c2VjcmV0LTI="},
		"gone":    {},
		"nested":  {"a": map[string]any{"x": "c2VjcmV0LTI="}},
		"none":    nil,
	} {
		ds := compareObjects([]built{secret(map[string]any{"a": "c2VjcmV0LTE="}, "x")}, []built{secret(after, "y")})
		said := fmt.Sprint(ds)
		if len(ds) < 2 || strings.Contains(said, "c2VjcmV0") || !strings.Contains(said, "type x y") {
			t.Errorf("%s: %s", name, said)
		}
	}
}

func TestCompareObjects(t *testing.T) {
	object := func(kind, name, origin string, fields map[string]any) built {
		fields["metadata"] = map[string]any{"name": name}
		return built{id: objectID{apiVersion: "v1", kind: kind, name: name}, object: fields, origin: originIn(origin)}
	}
	for _, test := range []struct {
		name          string
		before, after []built
		want          []Difference
	}{
		{"a generated name", []built{
			object("ConfigMap", "v-0123456789", "k.yaml", map[string]any{"data": map[string]any{"a": "1"}}),
			object("Deployment", "d", "", map[string]any{"ref": "v-0123456789"}),
		}, []built{
			object("ConfigMap", "v-9876543210", "k.yaml", map[string]any{"data": map[string]any{"a": "2"}}),
			object("Deployment", "d", "", map[string]any{"ref": "v-9876543210"}),
		}, []Difference{{"ConfigMap v", "data.a", "1", "2"}}},
		{"a name that only looks generated", []built{object("ConfigMap", "v-0123456789", "", map[string]any{})}, []built{object("ConfigMap", "v-9876543210", "", map[string]any{})},
			[]Difference{{"ConfigMap v-0123456789", "", true, nil}, {"ConfigMap v-9876543210", "", nil, true}}},
		{"lists", []built{object("A", "a", "", map[string]any{"same": []any{1, 2}, "longer": []any{"x"}})}, []built{object("A", "a", "", map[string]any{"same": []any{1, 3}, "longer": []any{"x", "y"}})},
			[]Difference{{"A a", "longer", []any{"x"}, []any{"x", "y"}}, {"A a", "same[1]", 2.0, 3.0}}},
		{"text that is not YAML", []built{object("A", "a", "", map[string]any{"t": "a {\n b\n}\n"})}, []built{object("A", "a", "", map[string]any{"t": "a {\n c\n d\n}\n"})},
			[]Difference{{"A a", "t", "(a text of 3 lines)", "(a text of 4 lines)"}}},
		{"text with YAML", []built{object("A", "a", "", map[string]any{"t": "a: 1\nb: {c: 2}\n"})}, []built{object("A", "a", "", map[string]any{"t": "a: 1\nb: {c: 3}\n"})},
			[]Difference{{"A a", "t.b.c", 2.0, 3.0}}},
	} {
		if got := compareObjects(test.before, test.after); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func originIn(file string) origin { return origin{ConfiguredIn: file} }
