package install

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// right is one verb on one kind, and the names that narrow it.
type right struct{ role, what, names, verb string }

func (r right) String() string {
	if r.names != "" {
		return fmt.Sprintf("%s: %s %s named %s", r.role, r.verb, r.what, r.names)
	}
	return fmt.Sprintf("%s: %s %s", r.role, r.verb, r.what)
}

// granted are the rights of all roles among objects.
func granted(t *testing.T, list []*unstructured.Unstructured) map[right]bool {
	t.Helper()
	out := map[right]bool{}
	for _, o := range list {
		if o.GetKind() != "Role" && o.GetKind() != "ClusterRole" {
			continue
		}
		role := o.GetKind() + " " + o.GetName()
		if o.GetNamespace() != "" {
			role += " in " + o.GetNamespace()
		}
		for _, rule := range into[rbacv1.ClusterRole](t, o).Rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						what := strings.TrimPrefix(group+"/"+resource, "/")
						out[right{role, what, strings.Join(rule.ResourceNames, " "), verb}] = true
					}
				}
			}
			if len(rule.NonResourceURLs) > 0 {
				t.Errorf("%s grants %q", role, rule.NonResourceURLs)
			}
		}
	}
	return out
}

var (
	heading = regexp.MustCompile("^### (ClusterRole|Role) `([^`]+)`(?: in `([^`]+)`)?$")
	quoted  = regexp.MustCompile("`([^`]+)`")
)

// explained are the rights that the page's tables name, each with a reason.
func explained(text string) (rights map[right]bool, problems []string) {
	rights = map[right]bool{}
	role := ""
	for line := range strings.SplitSeq(text, "\n") {
		if m := heading.FindStringSubmatch(line); m != nil {
			if role = m[1] + " " + m[2]; m[3] != "" {
				role += " in " + m[3]
			}
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if strings.HasPrefix(line, "#") || len(cells) != 3 || role == "" || cells[0] == "what" {
			continue
		}
		kinds, names, _ := strings.Cut(cells[0], " named ")
		if len(strings.Fields(cells[2])) < 2 {
			problems = append(problems, role+": "+cells[0]+" has no reason")
		}
		for _, kind := range words(kinds) {
			for verb := range strings.FieldsSeq(cells[1]) {
				r := right{role, kind, strings.Join(words(names), " "), verb}
				if rights[r] {
					problems = append(problems, r.String()+" is there twice")
				}
				rights[r] = true
			}
		}
	}
	return rights, problems
}

func words(cell string) []string {
	var out []string
	for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
		out = append(out, m[1])
	}
	return out
}

// roles are all that config can grant: the default and every choice.
func roles(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	list := kustomize(t, "default")
	for _, dir := range []string{"access", "probe/rbac", "break-glass"} {
		for _, at := range folders(t, dir) {
			list = append(list, kustomize(t, at)...)
		}
	}
	return list
}

// folders are the folders with a kustomization in and below a folder of config;
// none where it is not there.
func folders(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	fsys := os.DirFS(path(t, "config"))
	var walk func(string)
	walk = func(at string) {
		entries, err := fs.ReadDir(fsys, at)
		if err != nil {
			return
		}
		for _, e := range entries {
			if e.IsDir() {
				walk(at + "/" + e.Name())
			} else if e.Name() == "kustomization.yaml" {
				out = append(out, at)
			}
		}
	}
	walk(dir)
	return out
}

// Every verb that config grants is explained, and no other is.
func TestEveryVerbIsExplained(t *testing.T) {
	has := granted(t, roles(t))
	said, problems := explained(read(t, path(t, "docs", "rbac.md")))
	for _, p := range problems {
		t.Error(p)
	}
	for _, r := range sorted(has) {
		if !said[r] {
			t.Errorf("docs/rbac.md does not explain %s", r)
		}
	}
	for _, r := range sorted(said) {
		if !has[r] {
			t.Errorf("docs/rbac.md explains what nothing grants: %s", r)
		}
	}
	if len(has) < 100 {
		t.Errorf("only %d rights were found", len(has))
	}
}

func sorted(m map[right]bool) []right {
	return slices.SortedFunc(maps.Keys(m), func(a, b right) int { return strings.Compare(a.String(), b.String()) })
}

func TestExplainedBites(t *testing.T) {
	page := "### Role `a` in `b`\n\n| what | verbs | why |\n|---|---|---|\n| `pods`, `g/x` named `n`, `m` | get list | to see them |\n| `pods` | get | why |\n| `pods` | get | to see them again |\n## Other\n"
	rights, problems := explained(page)
	want := []string{
		"Role a in b: get g/x named n m", "Role a in b: get pods", "Role a in b: get pods named n m",
		"Role a in b: list g/x named n m", "Role a in b: list pods named n m",
	}
	var got []string
	for _, r := range sorted(rights) {
		got = append(got, r.String())
	}
	if !slices.Equal(got, want) || len(problems) != 2 {
		t.Errorf("got %q, problems %q", got, problems)
	}
}

// Nobody can list Secrets, take every verb or every kind, or give itself rights.
func TestNoRoleIsWide(t *testing.T) {
	// What makes probes makes their key, and Helm keeps its history in Secrets. Neither
	// is the controller's account.
	others := []string{"ClusterRole remediate-detect", "Role remediate-break-glass in kube-system"}
	for r := range granted(t, roles(t)) {
		if r.what == "secrets" && r.verb != "get" && !slices.Contains(others, r.role) {
			t.Errorf("%s", r)
		}
		if strings.Contains(r.what, "*") || r.verb == "*" || slices.Contains([]string{"escalate", "bind"}, r.verb) {
			t.Errorf("%s", r)
		}
	}
	for _, o := range kustomize(t, "default") {
		if strings.Contains(o.GetName(), "break-glass") {
			t.Errorf("%s is in the default install", id(o))
		}
		if o.GetKind() != "ClusterRoleBinding" {
			continue
		}
		name := into[rbacv1.ClusterRoleBinding](t, o).RoleRef.Name
		for r := range granted(t, kustomize(t, "default")) {
			if r.role == "ClusterRole "+name && r.what == "secrets" {
				t.Errorf("in the whole cluster: %s", r)
			}
		}
	}
}
