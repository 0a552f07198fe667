package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/remediate-dev/remediate/detect/signature"
	"github.com/remediate-dev/remediate/internal/report"
)

func newExplain(a *app) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "explain [SIGNATURE]",
		Short: "The catalogue of failures: what each is, how it shows, how it is told from its neighbours",
		Args:  cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return signatureIDs(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			list := signature.All()
			if len(args) == 1 {
				s, ok := signature.ByID(args[0])
				if !ok {
					return fmt.Errorf("no signature %q: known are %s", args[0], strings.Join(signatureIDs(), ", "))
				}
				list = []signature.Signature{s}
			}
			switch output {
			case "json":
				return report.JSON(a.stdout, signature.Catalogue(list))
			case "markdown":
				_, err := fmt.Fprint(a.stdout, signature.Markdown(list))
				return err
			case "text":
				if len(args) == 0 {
					_, err := fmt.Fprint(a.stdout, signature.Index(list))
					return err
				}
				_, err := fmt.Fprint(a.stdout, signature.Text(list[0]))
				return err
			}
			return badOutput(output, "text", "markdown", "json")
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text, markdown or json")
	return cmd
}

func signatureIDs() []string {
	var out []string
	for _, s := range signature.All() {
		out = append(out, s.ID)
	}
	return out
}
