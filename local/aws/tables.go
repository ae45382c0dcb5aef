package aws

import (
	"fmt"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Tables reads the DynamoDB tables of a CloudFormation template, by logical
// id: their keys and indexes, and no more. They have no name yet. So the
// schema that tests and the local cloud use is the one that is deployed.
func Tables(template []byte) (map[string]*dynamodb.CreateTableInput, error) {
	var doc struct {
		Resources map[string]struct {
			Type string `yaml:"Type"`
			// Properties are decoded for tables only: those of other resources
			// hold functions of CloudFormation where a value should be.
			Properties ast.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(template, &doc); err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	tables := map[string]*dynamodb.CreateTableInput{}
	for id, resource := range doc.Resources {
		if resource.Type != "AWS::DynamoDB::Table" {
			continue
		}
		if resource.Properties == nil {
			return nil, fmt.Errorf("table %s of the template has no properties", id)
		}
		var schema tableSchema
		if err := yaml.NodeToValue(resource.Properties, &schema); err != nil {
			return nil, fmt.Errorf("read table %s of the template: %w", id, err)
		}
		if len(schema.KeySchema) == 0 {
			return nil, fmt.Errorf("table %s of the template has no key", id)
		}
		tables[id] = schema.input()
	}
	return tables, nil
}

// tableSchema is the part of AWS::DynamoDB::Table that decides which requests
// a table can answer.
type tableSchema struct {
	AttributeDefinitions []struct {
		AttributeName string                    `yaml:"AttributeName"`
		AttributeType types.ScalarAttributeType `yaml:"AttributeType"`
	} `yaml:"AttributeDefinitions"`
	KeySchema              keySchema `yaml:"KeySchema"`
	GlobalSecondaryIndexes []struct {
		IndexName  string    `yaml:"IndexName"`
		KeySchema  keySchema `yaml:"KeySchema"`
		Projection struct {
			ProjectionType   types.ProjectionType `yaml:"ProjectionType"`
			NonKeyAttributes []string             `yaml:"NonKeyAttributes"`
		} `yaml:"Projection"`
	} `yaml:"GlobalSecondaryIndexes"`
}

type keySchema []struct {
	AttributeName string        `yaml:"AttributeName"`
	KeyType       types.KeyType `yaml:"KeyType"`
}

func (k keySchema) elements() []types.KeySchemaElement {
	var out []types.KeySchemaElement
	for _, e := range k {
		out = append(out, types.KeySchemaElement{AttributeName: sdk.String(e.AttributeName), KeyType: e.KeyType})
	}
	return out
}

func (s tableSchema) input() *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{
		BillingMode: types.BillingModePayPerRequest,
		KeySchema:   s.KeySchema.elements(),
	}
	for _, a := range s.AttributeDefinitions {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{
			AttributeName: sdk.String(a.AttributeName), AttributeType: a.AttributeType,
		})
	}
	for _, x := range s.GlobalSecondaryIndexes {
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: sdk.String(x.IndexName),
			KeySchema: x.KeySchema.elements(),
			Projection: &types.Projection{
				ProjectionType: x.Projection.ProjectionType, NonKeyAttributes: x.Projection.NonKeyAttributes,
			},
		})
	}
	return in
}
