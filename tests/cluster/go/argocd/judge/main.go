// judge runs Lua scripts as Argo CD does, with Argo CD's own code: the health check and the actions of a resource.
//
// It reads one request a line from standard input, {"do": "health" | "discovery" | "action", "script": ..., "object": ...},
// and writes one JSON answer a line: the health, the list of actions, the objects that the action gives.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/argo-cd/v3/util/lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type request struct {
	Do     string                     `json:"do"`
	Script string                     `json:"script"`
	Object *unstructured.Unstructured `json:"object"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		asked := request{}
		check(json.Unmarshal(lines.Bytes(), &asked))
		answer, err := answered(asked)
		check(err)
		line, err := json.Marshal(answer)
		check(err)
		fmt.Println(string(line))
	}
	check(lines.Err())
}

func answered(asked request) (any, error) {
	vm, object := lua.VM{}, asked.Object
	switch asked.Do {
	case "health":
		return vm.ExecuteHealthLua(object, asked.Script)
	case "discovery":
		return vm.ExecuteResourceActionDiscovery(object, []string{asked.Script})
	case "action":
		impacted, err := vm.ExecuteResourceAction(object, asked.Script, nil)
		if err != nil {
			return nil, err
		}
		objects := []any{}
		for _, resource := range impacted {
			objects = append(objects, resource.UnstructuredObj.Object)
		}
		return objects, nil
	}
	return nil, fmt.Errorf("unknown request %q", asked.Do)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}
