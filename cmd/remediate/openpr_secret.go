package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/yaml"
)

// maxFile bounds what is read of a file that a flag names: a Secret in base64.
const maxFile = 2 << 20

// objectName is NAMESPACE/NAME of an object.
var objectName = regexp.MustCompile(`^([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)/([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)$`)

// secret reads what a flag names: a file or folder if there is one of that name,
// else a Secret of the cluster. Errors never hold what stands in it.
func (a *app) secret(ctx context.Context, flag, from string) (map[string][]byte, error) {
	if from == "" {
		return nil, nil
	}
	data, err := a.secretOf(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, from, err)
	}
	return data, nil
}

func (a *app) secretOf(ctx context.Context, from string) (map[string][]byte, error) {
	info, err := os.Stat(from)
	switch {
	case err == nil && info.IsDir():
		return secretFolder(from)
	case err == nil:
		return secretFile(from)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	m := objectName.FindStringSubmatch(from)
	if m == nil {
		return nil, errors.New("it is neither a file, a folder nor NAMESPACE/NAME of a Secret")
	}
	return a.clusterSecret(ctx, m[1], m[2])
}

// clusterSecret asks the API server of --context.
func (a *app) clusterSecret(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	cfg, err := a.kube.ToRESTConfig()
	if err == nil && cfg.Host == noServer {
		if raw, rawErr := a.kube.ToRawKubeConfigLoader().RawConfig(); rawErr == nil && len(raw.Clusters) == 0 {
			err = errors.New("no kubeconfig")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("there is no such file, and no cluster to read a Secret of that name from: %w", err)
	}
	client, err := corev1client.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	s, err := client.Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, errors.New("there is neither a file nor a Secret of that name in the cluster")
	case apierrors.IsForbidden(err):
		return nil, errors.New("the kubeconfig's user may not read that Secret: give it as a file, or choose another --context")
	case err != nil:
		return nil, fmt.Errorf("read the Secret from the cluster: %w", err)
	}
	return s.Data, nil
}

// secretFolder reads the keys of a Secret from files, as Kubernetes mounts them.
func secretFolder(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	data, total := map[string][]byte{}, 0
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		info, err := os.Stat(name)
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		b, err := readBounded(name)
		if err != nil {
			return nil, err
		}
		if total += len(b); total > maxFile {
			return nil, errors.New("its files are no keys of a Secret: together they are larger than 2 MiB")
		}
		data[e.Name()] = b
	}
	if len(data) == 0 {
		return nil, errors.New("the folder holds no files, which would be the keys of a Secret")
	}
	return data, nil
}

// secretFile reads a manifest. Parsers quote what they do not understand, so
// their errors are not passed on.
func secretFile(name string) (map[string][]byte, error) {
	b, err := readBounded(name)
	if err != nil {
		return nil, err
	}
	var found map[string][]byte
	docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(b)))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.New("it is no YAML")
		}
		data, err := secretDocument(doc)
		if err != nil {
			return nil, err
		}
		if data != nil && found != nil {
			return nil, errors.New("it holds several Secrets: give a file with the one that is meant")
		}
		if data != nil {
			found = data
		}
	}
	if found == nil {
		return nil, errors.New("it holds no manifest of a Secret (apiVersion: v1, kind: Secret)")
	}
	return found, nil
}

// secretDocument is nil for what is no Secret.
func secretDocument(doc []byte) (map[string][]byte, error) {
	var s struct {
		metav1.TypeMeta `json:",inline"`
		SOPS            map[string]any    `json:"sops"`
		Data            map[string]string `json:"data"`
		StringData      map[string]string `json:"stringData"`
	}
	if err := yaml.Unmarshal(doc, &s); err != nil {
		return nil, errors.New("it is no YAML, or no manifest of a Secret")
	}
	if s.Kind != "Secret" || s.APIVersion != "v1" {
		return nil, nil
	}
	if len(s.SOPS) > 0 {
		return nil, errors.New("it is encrypted by SOPS: decrypt it into a file outside the repository (sops decrypt FILE > …), or name the Secret in the cluster as NAMESPACE/NAME")
	}
	var typed corev1.Secret
	if err := yaml.Unmarshal(doc, &typed); err != nil {
		return nil, errors.New("a value under data is no base64")
	}
	out := map[string][]byte{}
	for k, v := range typed.Data {
		out[k] = v
	}
	for k, v := range typed.StringData {
		out[k] = []byte(v)
	}
	return out, nil
}

func bounded(r io.Reader, name string) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s: %w", name, errTooLarge)
	}
	return b, nil
}

// tokenVariables name the environment's tokens by kind of forge, the first wins.
func tokenVariables(kind string) []string {
	switch kind {
	case "github":
		return []string{"GITHUB_TOKEN", "GH_TOKEN"}
	case "gitlab":
		return []string{"GITLAB_TOKEN"}
	case "gitea":
		return []string{"GITEA_TOKEN", "FORGEJO_TOKEN"}
	}
	return nil
}

// environmentToken is the token for a kind of forge, with the variable's name.
func environmentToken(kind string) (name, token string) {
	for _, name := range tokenVariables(kind) {
		if t := strings.TrimSpace(os.Getenv(name)); t != "" {
			return name, t
		}
	}
	return "", ""
}
