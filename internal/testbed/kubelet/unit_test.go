package kubelet

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// shown is what a reader of a log gets.
func shown(t *testing.T, log *logFile, query string) string {
	t.Helper()
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	o, err := parseOptions(q)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := o.copy(t.Context(), &b, func() error { return nil }, log); err != nil && !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	return b.String()
}

func TestLogOptions(t *testing.T) {
	l := newLogFile(1 << 20)
	fmt.Fprint(l, "one\ntwo\nthr")
	fmt.Fprint(l, "ee\nfour")
	for i := range l.records {
		l.records[i].at = time.Date(2026, 2, 12, 10, 0, i, 5, time.UTC)
	}
	for query, want := range map[string]string{
		"":                               "one\ntwo\nthree\n",
		"tailLines=2":                    "two\nthree\n",
		"tailLines=0":                    "",
		"limitBytes=5":                   "one\nt",
		"sinceTime=2026-02-12T10:00:01Z": "two\nthree\n",
		"sinceSeconds=5":                 "",
		"timestamps=true&tailLines=1":    "2026-02-12T10:00:02.000000005Z three\n",
	} {
		if got := shown(t, l, query); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
	l.close()
	if got := shown(t, l, "follow=true"); got != "one\ntwo\nthree\n" {
		t.Errorf("a log that ended, followed: %q", got)
	}
	for _, bad := range []string{"follow=perhaps", "tailLines=x", "sinceTime=now"} {
		q, _ := url.ParseQuery(bad)
		if _, err := parseOptions(q); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestLogsRotate(t *testing.T) {
	l := newLogFile(20)
	for i := range 10 {
		fmt.Fprintf(l, "line-%d\n", i)
	}
	if got := shown(t, l, ""); got != "line-9\n" {
		t.Errorf("the present file is %q", got)
	}
	if records, next, _, _ := l.read(0); len(records) != 4 || next != 10 {
		t.Errorf("who follows is shown %d up to %d", len(records), next)
	}
	l.cutNext()
	fmt.Fprint(l, "abcdef\nnext\n")
	if got := shown(t, l, ""); got != "def\nnext\n" {
		t.Errorf("after a cut in a line: %q", got)
	}
	records, _, _, _ := l.read(10)
	if len(records) != 3 || !records[0].partial || string(records[0].text) != "abc" {
		t.Errorf("who follows gets %+v", records)
	}
}

func TestLongLinesArePartial(t *testing.T) {
	l := newLogFile(1 << 20)
	long := strings.Repeat("x", 3*maxRecord+5)
	fmt.Fprint(l, long)
	fmt.Fprint(l, "\nshort\n")
	if got := shown(t, l, ""); got != long+"\nshort\n" {
		t.Errorf("%d bytes came back of %d", len(got), len(long)+7)
	}
	if len(l.records) != 5 {
		t.Errorf("%d records", len(l.records))
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestVolumesAreSwapped(t *testing.T) {
	root := t.TempDir()
	v := newVolumes(root)
	write := func(files map[string][]byte) {
		if err := v.write("/etc/x", files); err != nil {
			t.Fatal(err)
		}
	}
	write(map[string][]byte{"a": []byte("1"), "b": []byte("2")})
	first, err := os.Readlink(filepath.Join(root, "etc/x/..data"))
	if err != nil {
		t.Fatal(err)
	}
	if read(t, filepath.Join(root, "etc/x/a")) != "1" {
		t.Error("a is not 1")
	}
	write(map[string][]byte{"a": []byte("1"), "b": []byte("2")})
	if again, _ := os.Readlink(filepath.Join(root, "etc/x/..data")); again != first {
		t.Error("swapped without a change")
	}
	write(map[string][]byte{"a": []byte("3"), "c": []byte("4")})
	entries, err := os.ReadDir(filepath.Join(root, "etc/x"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "..v") {
			names = append(names, e.Name())
		}
	}
	if want := []string{"..data", "a", "c"}; !slices.Equal(names, want) || len(entries) != 4 || read(t, filepath.Join(root, "etc/x/a")) != "3" {
		t.Errorf("there are %v of %d, want %v", names, len(entries), want)
	}
	if err := v.write("/etc/x", map[string][]byte{"../../../out": []byte("x")}); err == nil {
		t.Error("wrote outside of the pod's folder")
	}
}

func TestEnvAndArgs(t *testing.T) {
	fieldOf := func(path string) *corev1.EnvVarSource {
		return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u", Labels: map[string]string{"app": "x"}, Annotations: map[string]string{"a/b": "y"}},
		Spec: corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{
			Args: []string{"--key=/etc/key/key", "--dir", "/etc/key/more", "--node=$(NODE)", "$(NO)"},
			Env: []corev1.EnvVar{
				{Name: "PLAIN", Value: "1"}, {Name: "NODE", ValueFrom: fieldOf("spec.nodeName")}, {Name: "POD", ValueFrom: fieldOf("metadata.name")},
				{Name: "NS", ValueFrom: fieldOf("metadata.namespace")}, {Name: "UID", ValueFrom: fieldOf("metadata.uid")},
				{Name: "IP", ValueFrom: fieldOf("status.podIP")}, {Name: "IPS", ValueFrom: fieldOf("status.podIPs")},
				{Name: "L", ValueFrom: fieldOf("metadata.labels['app']")}, {Name: "A", ValueFrom: fieldOf("metadata.annotations['a/b']")},
			},
			VolumeMounts: []corev1.VolumeMount{{MountPath: "/etc/key"}, {MountPath: "/etc/key/more"}},
		}}},
	}
	env, err := Env(pod, []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"PLAIN=1", "NODE=n", "POD=p", "NS=ns", "UID=u", "IP=10.0.0.1", "IPS=10.0.0.1,fd00::1", "L=x", "A=y"}; !slices.Equal(env, want) {
		t.Errorf("environment %q, want %q", env, want)
	}
	if got, want := Args(pod, "/d", env), []string{"--key=/d/etc/key/key", "--dir", "/d/etc/key/more", "--node=n", "$(NO)"}; !slices.Equal(got, want) {
		t.Errorf("arguments %q, want %q", got, want)
	}
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "X", ValueFrom: fieldOf("status.hostIP")}}
	if _, err := Env(pod, nil); err == nil {
		t.Error("a field that is not supported is taken")
	}
}
