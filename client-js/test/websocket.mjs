// The WebSocket of the runtime, or of the package ws where it has none (Node 20).

export const WebSocket = globalThis.WebSocket ?? (await import("ws")).WebSocket;
