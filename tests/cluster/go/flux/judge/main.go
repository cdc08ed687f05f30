// judge reads Flux's objects as its controllers do, strictly, and evaluates health checks by Flux's own evaluator.
//
// A line of standard input is {"object": ...}, an object of Flux's, or {"expressions": ..., "object": ...}, an object and the
// expressions that tell its health. A line of output is "ok" or what is wrong with it, or the status.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	helm "github.com/fluxcd/helm-controller/api/v2"
	kustomization "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	source "github.com/fluxcd/source-controller/api/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

type line struct {
	Expressions *kustomize.HealthCheckExpressions `json:"expressions"`
	Object      json.RawMessage                   `json:"object"`
}

func main() {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{helm.AddToScheme, kustomization.AddToScheme, source.AddToScheme} {
		if err := add(scheme); err != nil {
			fail(err)
		}
	}
	strict := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		asked := line{}
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			fail(err)
		}
		if asked.Expressions != nil {
			fmt.Println(health(asked))
		} else if _, _, err := strict.Decode(asked.Object, nil, nil); err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("ok")
		}
	}
	if err := lines.Err(); err != nil {
		fail(err)
	}
}

func health(asked line) string {
	evaluator, err := cel.NewStatusEvaluator(asked.Expressions)
	if err != nil {
		fail(err)
	}
	object := &unstructured.Unstructured{}
	if err := object.UnmarshalJSON(asked.Object); err != nil {
		fail(err)
	}
	result, err := evaluator.Evaluate(context.Background(), object)
	if err != nil {
		return err.Error()
	}
	return string(result.Status)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "judge:", err)
	os.Exit(1)
}
