// Package cifiles holds no code, only tests of the files with which `remediate
// check` runs in CI: the GitHub Action, the GitLab template and the pre-commit
// hook. Their scripts are taken out of the YAML and run.
package cifiles
