// What the function api says about this deployment.
export interface Config {
  issuer: string
  client_id: string
  scopes: string
  audience: string
  /** The origins of the pages that may embed the console. */
  parents: string[]
  version: string
}

export let config: Config

/** Reads the configuration. Every other module may use it afterwards. */
export async function loadConfig(): Promise<void> {
  const answer = await fetch('/console/config.json', { headers: { accept: 'application/json' } })
  if (!answer.ok) throw new Error(`config.json: status ${answer.status}`)
  config = await answer.json()
}
