package deploy

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RightsError names what the credentials may not do.
type RightsError struct{ Missing []string }

func (e *RightsError) Error() string {
	return "these credentials may not " + strings.Join(e.Missing, ", ")
}

// Hint says what to do about it.
func (e *RightsError) Hint() string {
	return "bind the ClusterRole remediate-detect of config/probe/rbac, choose another --context, or do without probes: --without-probes"
}

// readRules are the rights that reading an installation's probes takes.
func readRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("", "get list watch", "nodes", "pods", "services"),
		rule("", "get", "pods/log"),
		rule("apps", "get list watch", "daemonsets"),
		rule("discovery.k8s.io", "get list watch", "endpointslices"),
	}
}

// writeRules are what making and removing the probes of a run takes besides.
func writeRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule("", "get list create delete", "namespaces"),
		rule("", "create", "configmaps"),
		membersRule(),
		rule("", "create patch delete", "services"),
		rule("", "create", "secrets"),
		only(rule("", "get delete", "secrets"), KeyName),
		rule("", "patch", "pods"),
		rule("", "list", "events"),
		rule("apps", "create patch delete", "daemonsets"),
		rule("networking.k8s.io", "get list create patch delete", "networkpolicies"),
	}
}

// membersRule is what keeping the members up to date takes.
func membersRule() rbacv1.PolicyRule {
	var names []string
	for i := range maxMembers {
		names = append(names, membersName(i))
	}
	return only(rule("", "get patch delete", "configmaps"), names...)
}

// only narrows a rule to objects of these names: nobody needs to read the
// cluster's Secrets in order to run probes.
func only(r rbacv1.PolicyRule, names ...string) rbacv1.PolicyRule {
	r.ResourceNames = names
	return r
}

func rule(group, verbs string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Verbs: strings.Fields(verbs), Resources: resources}
}

// CheckRights asks the API server whether the credentials may do what is to be
// done, before anything is made. What they may not is a [RightsError].
func (c *Client) CheckRights(ctx context.Context, namespace string, write bool) error {
	rules := readRules()
	if write {
		rules = append(rules, writeRules()...)
	}
	return c.check(ctx, namespace, rules)
}

func (c *Client) check(ctx context.Context, namespace string, rules []rbacv1.PolicyRule) error {
	var missing []string
	for _, r := range rules {
		for _, resource := range r.Resources {
			for _, verb := range r.Verbs {
				allowed, err := c.may(ctx, namespace, verb, r.APIGroups[0], resource, r.ResourceNames...)
				if err != nil {
					return err
				}
				if !allowed {
					missing = append(missing, verb+" "+resource+where(resource, namespace))
				}
			}
		}
	}
	if len(missing) > 0 {
		return &RightsError{Missing: missing}
	}
	return nil
}

// CheckMembersRights asks the same about writing the members of an installation.
func (c *Client) CheckMembersRights(ctx context.Context, namespace string) error {
	return c.check(ctx, namespace, []rbacv1.PolicyRule{
		membersRule(), rule("", "create", "configmaps", "secrets"), only(rule("", "get", "secrets"), KeyName),
	})
}

// may asks about every object of a kind, or about the first of those that are named.
func (c *Client) may(ctx context.Context, namespace, verb, group, resource string, names ...string) (bool, error) {
	object := ""
	if len(names) > 0 {
		object = names[0]
	}
	name, sub, _ := strings.Cut(resource, "/")
	if clusterScoped(resource) {
		namespace = ""
	}
	review, err := c.Kube.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: verb, Group: group, Resource: name, Subresource: sub, Name: object,
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask whether these credentials may %s %s: %w", verb, resource, err)
	}
	return review.Status.Allowed, nil
}

func clusterScoped(resource string) bool { return resource == "nodes" || resource == "namespaces" }

func where(resource, namespace string) string {
	if clusterScoped(resource) {
		return ""
	}
	return " in " + namespace
}

// Roles are the ClusterRoles for whoever runs `remediate detect`.
func Roles() []Object {
	role := func(name string, rules []rbacv1.PolicyRule) Object {
		return &rbacv1.ClusterRole{
			TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{LabelName: Name, LabelManagedBy: FieldManager}},
			Rules:      rules,
		}
	}
	return []Object{role("remediate-detect", append(readRules(), writeRules()...))}
}
