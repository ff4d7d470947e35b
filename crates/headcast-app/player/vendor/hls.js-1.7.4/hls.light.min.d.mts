// What the page uses of hls.js, for those who check its types: `fLoader` and the error's data are told where they are used.

export default class Hls {
  static isSupported(): boolean;
  static readonly DefaultConfig: { loader: new (config: any) => any };
  static readonly Events: { ERROR: 'hlsError' };
  static readonly ErrorTypes: { MEDIA_ERROR: string; NETWORK_ERROR: string };
  constructor(config: Record<string, unknown>);
  on(event: 'hlsError', listener: (event: string, data: { type: string; fatal: boolean }) => void): void;
  loadSource(url: string): void;
  attachMedia(media: HTMLMediaElement): void;
  recoverMediaError(): void;
  destroy(): void;
}
