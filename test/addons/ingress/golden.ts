import { goldensOf } from '../../support/golden';

export const expectGolden = goldensOf(__dirname);
