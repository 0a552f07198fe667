package kubelet

import (
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Env is the environment of a pod's container, as NAME=VALUE: what it states and
// what it takes from the pod's fields. ips are the addresses that Start is about to
// give the pod, as the API server does not have them yet.
func Env(pod *corev1.Pod, ips []netip.Addr) ([]string, error) {
	var out []string
	for _, e := range pod.Spec.Containers[0].Env {
		value := e.Value
		if e.ValueFrom != nil {
			if e.ValueFrom.FieldRef == nil {
				return nil, fmt.Errorf("variable %s: only fields of the pod are supported", e.Name)
			}
			var err error
			if value, err = field(pod, ips, e.ValueFrom.FieldRef.FieldPath); err != nil {
				return nil, fmt.Errorf("variable %s: %w", e.Name, err)
			}
		}
		out = append(out, e.Name+"="+value)
	}
	return out, nil
}

// Args are the arguments of a pod's container, with $(NAME) replaced by the
// environment, and paths below its mounts by those on this machine: dir is what
// Start was given.
func Args(pod *corev1.Pod, dir string, env []string) []string {
	c := pod.Spec.Containers[0]
	values := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		values[name] = value
	}
	here := localPaths(c, dir)
	out := make([]string, 0, len(c.Args))
	for _, a := range c.Args {
		a = variable.ReplaceAllStringFunc(a, func(s string) string {
			if v, ok := values[s[2:len(s)-1]]; ok {
				return v
			}
			return s
		})
		out = append(out, here.Replace(a))
	}
	return out
}

// localPaths replaces mounts' paths, the longer first.
func localPaths(c corev1.Container, dir string) *strings.Replacer {
	var paths []string
	for _, m := range c.VolumeMounts {
		paths = append(paths, m.MountPath)
	}
	slices.SortFunc(paths, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	var pairs []string
	for _, p := range paths {
		pairs = append(pairs, p, filepath.Join(dir, p))
	}
	return strings.NewReplacer(pairs...)
}

var variable = regexp.MustCompile(`\$\([A-Za-z_][A-Za-z0-9_]*\)`)

var quotedKey = regexp.MustCompile(`^metadata\.(labels|annotations)\['([^']+)'\]$`)

// field is a field of a pod as the downward API names it.
func field(o *corev1.Pod, ips []netip.Addr, path string) (string, error) {
	switch path {
	case "metadata.name":
		return o.Name, nil
	case "metadata.namespace":
		return o.Namespace, nil
	case "metadata.uid":
		return string(o.UID), nil
	case "spec.nodeName":
		return o.Spec.NodeName, nil
	case "status.podIP", "status.podIPs":
		var list []string
		for _, ip := range ips {
			list = append(list, ip.String())
		}
		if path == "status.podIP" && len(list) > 0 {
			list = list[:1]
		}
		return strings.Join(list, ","), nil
	}
	if m := quotedKey.FindStringSubmatch(path); m != nil {
		if m[1] == "labels" {
			return o.Labels[m[2]], nil
		}
		return o.Annotations[m[2]], nil
	}
	return "", fmt.Errorf("field %s is not supported", path)
}
