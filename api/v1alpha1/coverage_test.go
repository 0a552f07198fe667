package v1alpha1_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// schema is the part of a definition that the test looks at.
type schema struct {
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Rules      []struct {
		Message string `json:"message"`
	} `json:"x-kubernetes-validations"`
}

// rules lists "field|message" of every rule below a field.
func (s schema) rules(field string) []string {
	var out []string
	for _, r := range s.Rules {
		out = append(out, field+"|"+r.Message)
	}
	for name, p := range s.Properties {
		out = append(out, p.rules(strings.TrimPrefix(field+"."+name, "."))...)
	}
	if s.Items != nil {
		out = append(out, s.Items.rules(field)...)
	}
	return out
}

func rulesOf(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "crd", "bases", file))
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema schema `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &crd); err != nil || len(crd.Spec.Versions) != 1 {
		t.Fatalf("%s: %v", file, err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema.rules("")
}

// uncovered are the rules that no specification is refused by.
func uncovered(rules []string, tests []tried) []string {
	index := regexp.MustCompile(`\[\d+\]`)
	return slices.DeleteFunc(slices.Clone(rules), func(rule string) bool {
		field, message, _ := strings.Cut(rule, "|")
		return slices.ContainsFunc(tests, func(tt tried) bool {
			f, m, _ := strings.Cut(tt.want, "|")
			return m != "" && index.ReplaceAllString(f, "") == field && strings.Contains(message, m)
		})
	})
}

// Every rule refuses something in the tables of [TestAdmission].
func TestEveryRuleIsTried(t *testing.T) {
	rules := rulesOf(t, "remediate.dev_remediationpolicies.yaml")
	if len(rules) < 50 {
		t.Errorf("only %d rules were found", len(rules))
	}
	tests := slices.Concat(policies(), policyParts(), freezes(), durations(), pullRequests())
	for _, rule := range uncovered(rules, tests) {
		// An empty field is the object itself; the test of names has that rule.
		if !strings.HasPrefix(rule, "|the name of a policy") && !strings.HasPrefix(rule, "status.") {
			t.Errorf("nothing is refused by %s", rule)
		}
	}
	for _, rule := range uncovered(rulesOf(t, "remediate.dev_remediations.yaml"), remediations()) {
		if !strings.HasPrefix(rule, "spec|spec is written once") && !strings.HasPrefix(rule, "status.") {
			t.Errorf("nothing is refused by %s", rule)
		}
	}
	if got := uncovered([]string{"spec.x|a b"}, []tried{{"", "spec.x|c"}, {"", "spec.y|a"}}); len(got) != 1 {
		t.Error("the test finds nothing")
	}
}
